import {
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type ServiceImplSpec,
  type Transport,
} from '@connectrpc/connect';
import type { UniversalClientRequest, UniversalHandler } from '@connectrpc/connect/protocol';
import { createTransport } from '@connectrpc/connect/protocol-connect';
import { kOrigin, kSystem } from '../rpc/context.ts';
import { longestCall } from '../rpc/deadline.ts';
import { mount } from '../rpc/services.ts';
import type { GatewayOptions } from './connect.ts';
import { largestRequest } from './limits.ts';

/**
 * Opens a transport for one request. Its calls have the origin of the request, and are cancelled when the client of the
 * request disconnects.
 */
export type CallOnBehalf = (values: ContextValues, gone: AbortSignal) => Transport;

type Handlers = ReadonlyMap<string, UniversalHandler>;

/**
 * Calls the services of this process without a network, through the same interceptors: rate limits and the audit trail
 * see the address of the browser.
 */
export function inProcess(services: readonly ServiceImplSpec[], options: GatewayOptions): CallOnBehalf {
  const { interceptors, shutdownSignal } = options;
  const router = createConnectRouter({ grpc: false, grpcWeb: false, interceptors, shutdownSignal });
  mount(router, services);
  const handlers: Handlers = new Map(router.handlers.map((each) => [each.requestPath, each]));
  return (values, gone) =>
    createTransport({
      httpClient: (request) => handle(handlers, request, values, gone),
      // Only the path after it is used.
      baseUrl: 'http://gatehouse',
      useBinaryFormat: true,
      interceptors: [],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: largestRequest,
      readMaxBytes: largestRequest,
      writeMaxBytes: largestRequest,
      defaultTimeoutMs: longestCall,
    });
}

async function handle(
  handlers: Handlers,
  { url, method, header, body }: UniversalClientRequest,
  ofRequest: ContextValues,
  signal: AbortSignal,
) {
  const handler = handlers.get(new URL(url).pathname);
  if (!handler || !body) throw new Error(`no unary call of ours: ${method} ${url}`);
  // Race: the calls of a page run in parallel. With values in common, one would use the caller and the signal of another.
  const contextValues = createContextValues().set(kOrigin, ofRequest.get(kOrigin)).set(kSystem, ofRequest.get(kSystem));
  const response = await handler({ httpVersion: '1.1', url, method, header, body, signal, contextValues });
  const empty = async function* (): AsyncGenerator<Uint8Array> {};
  return {
    status: response.status,
    header: new Headers(response.header),
    body: response.body ?? empty(),
    trailer: new Headers(response.trailer),
  };
}
