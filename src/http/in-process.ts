import { create, type DescMethod, type DescMethodUnary, type DescService, type Message } from '@bufbuild/protobuf';
import {
  type CallOptions,
  type Client,
  type ContextValues,
  createContextValues,
  type ServiceImplSpec,
  type Transport,
  type UnaryResponse,
} from '@connectrpc/connect';
import { openCallContext } from '../rpc/call-context.ts';
import { connectErrorOf } from '../rpc/connect-error.ts';
import { kOrigin, kProjectName, kSurface, kSystem } from '../rpc/context.ts';
import { longestCall } from '../rpc/deadline.ts';
import { OpenCalls } from '../rpc/open-calls.ts';
import { chainOf } from '../rpc/unary-chain.ts';
import type { GatewayOptions } from './connect.ts';

/**
 * Opens a transport for one request. Its calls have the origin of the request, and are cancelled when the client of the
 * request disconnects.
 */
export type CallOnBehalf = (values: ContextValues, gone: AbortSignal) => Transport;

/**
 * A client for the unary methods of a service. The library's makes a function for each method of the service, which costs more
 * than the call where every request has a client of its own.
 */
export function unaryClient<Service extends DescService>(service: Service, transport: Transport): Client<Service> {
  const methods: Readonly<Record<string, DescMethod>> = service.method;
  const send =
    (method: DescMethod) =>
    async (request: Record<string, unknown>, { signal, timeoutMs, headers }: CallOptions = {}) =>
      (await transport.unary(method as DescMethodUnary, signal, timeoutMs, headers, request)).message;
  return new Proxy({} as Client<Service>, {
    get: (_, name) => {
      const method = methods[String(name)];
      return method && send(method);
    },
  });
}

type Chain = ReturnType<typeof chainOf>;

interface Serving {
  readonly chains: ReadonlyMap<DescMethod, Chain>;
  readonly openCalls: OpenCalls;
}

/** What a transport receives of a call. */
interface Asked {
  readonly values: ContextValues;
  readonly signals: readonly (AbortSignal | undefined)[];
  readonly timeoutMs: number | undefined;
  readonly header: ConstructorParameters<typeof Headers>[0];
}

/**
 * Calls the services of this process without a network, through the same interceptors: rate limits and the audit trail
 * see the address of the browser.
 */
export function inProcess(
  services: readonly ServiceImplSpec[],
  options: Pick<GatewayOptions, 'interceptors' | 'shutdownSignal'>,
): CallOnBehalf {
  const specs = services.flatMap(({ methods }) => Object.values(methods));
  const unary = specs.filter((spec) => spec.kind === 'unary');
  const chains = new Map<DescMethod, Chain>(unary.map((spec) => [spec.method, chainOf(spec, options.interceptors)]));
  const serving = { chains, openCalls: new OpenCalls(options.shutdownSignal) };
  return (values, gone) => ({
    async unary(method, signal, timeoutMs, header, input) {
      const asked = { values, signals: [gone, signal], timeoutMs, header };
      const message = create(method.input, input);
      const response = await call(serving, method, message, asked);
      return { ...response, stream: false, service: method.parent, method } as UnaryResponse<
        typeof method.input,
        typeof method.output
      >;
    },
    async stream(method) {
      throw new Error(`no unary call of ours: ${method.name}`);
    },
  });
}

async function call({ chains, openCalls }: Serving, method: DescMethod, message: Message, asked: Asked) {
  const invoke = chains.get(method);
  if (!invoke) throw new Error(`no unary call of ours: ${method.name}`);
  const context = openCallContext({
    method,
    protocolName: 'connect',
    requestMethod: 'POST',
    url: `http://gatehouse/${method.parent.typeName}/${method.name}`,
    requestHeader: new Headers(asked.header),
    values: ownValues(asked.values),
    timeoutMs: Math.min(asked.timeoutMs ?? longestCall, longestCall),
    openCalls,
  });
  const stopListening = onceAborted(asked.signals, () => context.abort('CANCELED'));
  try {
    const response = await invoke(message, context);
    return { message: response, header: context.responseHeader, trailer: context.responseTrailer };
  } catch (thrown) {
    throw connectErrorOf(thrown);
  } finally {
    stopListening();
    context.close();
  }
}

// Race: the calls of a page run in parallel. With values in common, one would use the caller and the signal of another.
function ownValues(ofRequest: ContextValues): ContextValues {
  const own = createContextValues();
  return own
    .set(kOrigin, ofRequest.get(kOrigin))
    .set(kSystem, ofRequest.get(kSystem))
    .set(kProjectName, ofRequest.get(kProjectName))
    .set(kSurface, ofRequest.get(kSurface));
}

/** Returns the function that removes the listeners. */
function onceAborted(signals: Asked['signals'], leave: () => void): () => void {
  for (const each of signals) {
    if (each?.aborted) leave();
    each?.addEventListener('abort', leave, { once: true });
  }
  return () => {
    for (const each of signals) each?.removeEventListener('abort', leave);
  };
}
