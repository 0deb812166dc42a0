import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { withAttemptIds } from './attempts.ts';
import { type Clients, createClients } from './clients.ts';
import { withRequestIds } from './request-ids.ts';
import { type CallDefaults, withRetries } from './retry.ts';

export * from './surface.ts';

export interface GatehouseOptions extends CallDefaults {
  /** The URL of the service: `https://auth.example.org`, or a path of the page's own origin that is forwarded to it. */
  readonly baseUrl: string;
  /** Run around every attempt of a call, the first one outermost: for logs and traces. */
  readonly interceptors?: readonly Interceptor[];
  /** Instead of the global fetch. */
  readonly fetch?: typeof globalThis.fetch;
}

export type Gatehouse = Clients;

/**
 * The service's clients as JSON over fetch (the Connect protocol), for browsers and other runtimes with fetch. A page
 * of another origin needs that origin in the service's CORS_ORIGINS.
 */
export function createGatehouse({ baseUrl, interceptors = [], fetch, ...defaults }: GatehouseOptions): Gatehouse {
  // Read at each call: a page may replace the global fetch, to trace or to test.
  const send: typeof globalThis.fetch = (...request) => (fetch ?? globalThis.fetch)(...request).catch(explain);
  const transport = createConnectTransport({ baseUrl, interceptors: [...interceptors], fetch: send });
  return createClients(withRequestIds(withAttemptIds(withRetries(transport, defaults))));
}

// fetch throws a TypeError for every failure before a response: no network, no server, an origin that is not allowed.
function explain(cause: unknown): never {
  if (!(cause instanceof TypeError)) throw cause;
  throw new ConnectError('the service cannot be reached', Code.Unavailable, undefined, undefined, cause);
}
