import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { type Clients, createClients } from './clients.ts';
import { type CallDefaults, withRetries } from './retry.ts';

export * from './surface.ts';

export interface GatehouseOptions extends CallDefaults {
  /** Where the service is: `https://auth.example.org`, or a path of the page's own origin that leads there. */
  readonly baseUrl: string;
  /** Run around every try of a call, the first one outermost: for logs and traces. */
  readonly interceptors?: readonly Interceptor[];
  /** Instead of the global fetch. */
  readonly fetch?: typeof globalThis.fetch;
}

export type Gatehouse = Clients;

/**
 * The service's clients as JSON over fetch (the Connect protocol), for browsers and everything else that has fetch. From
 * another origin it works where the service lists that origin in CORS_ORIGINS.
 */
export function createGatehouse({ baseUrl, interceptors = [], fetch, ...defaults }: GatehouseOptions): Gatehouse {
  // Looked up at each call: pages replace the global one, to trace or to test.
  const send: typeof globalThis.fetch = (...request) => (fetch ?? globalThis.fetch)(...request).catch(explain);
  const transport = createConnectTransport({ baseUrl, interceptors: [...interceptors], fetch: send });
  return createClients(withRetries(transport, defaults));
}

// fetch says TypeError to whatever kept it from the answer: no network, nobody there, an origin that is not allowed.
function explain(cause: unknown): never {
  if (!(cause instanceof TypeError)) throw cause;
  throw new ConnectError('the service cannot be reached', Code.Unavailable, undefined, undefined, cause);
}
