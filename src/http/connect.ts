import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Code,
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type Interceptor,
  type ServiceImplSpec,
} from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { codeFromString, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { type Reason, Refusal } from '../errors.ts';
import { kOrigin, kSystem } from '../rpc/context.ts';
import { longestCall } from '../rpc/deadline.ts';
import { reasonOfCode, toConnectError } from '../rpc/errors.ts';
import { readOrigin } from '../rpc/origin.ts';
import { mount } from '../rpc/services.ts';
import { readLeniently } from './lenient-request.ts';
import { largestRequest } from './limits.ts';

export interface GatewayOptions {
  readonly interceptors: Interceptor[];
  readonly proxyHops: number;
  readonly shutdownSignal: AbortSignal;
}

/** Handles a request. Returns false for a path that it does not serve. */
export type Gateway = (req: IncomingMessage, res: ServerResponse) => boolean;

/** Serves RPCs as JSON (and binary) by the Connect protocol. gRPC has its own port; gRPC-web is not supported. */
export function connectGateway(services: readonly ServiceImplSpec[], options: GatewayOptions): Gateway {
  const router = createConnectRouter({
    grpc: false,
    grpcWeb: false,
    interceptors: options.interceptors,
    readMaxBytes: largestRequest,
    maxTimeoutMs: longestCall,
    jsonOptions: { ignoreUnknownFields: false },
    acceptCompression: [compressionGzip],
    shutdownSignal: options.shutdownSignal,
  });
  mount(router, services);
  const handlers = new Map(router.handlers.map((each) => [each.requestPath, each]));
  return (req, res) => {
    const handler = handlers.get(req.url?.split('?', 1)[0] ?? '');
    if (handler) void respond(handler, req, res, options);
    return handler !== undefined;
  };
}

async function respond(handler: UniversalHandler, req: IncomingMessage, res: ServerResponse, options: GatewayOptions) {
  const values = contextValuesOf(req, options.proxyHops);
  try {
    const request = universalRequestFromNodeRequest(req, res, undefined, values);
    // A call without a timeout gets the longest one. Connect refuses a longer one only after it has started a timer for
    // it, and a much longer one would overflow the timer.
    const timeout = request.header.get('connect-timeout-ms') ?? longestCall;
    request.header.set('connect-timeout-ms', `${Number(timeout) > longestCall ? longestCall + 1 : timeout}`);
    // The rest of a body that is too large is read and discarded. Unread, it would hide that the client disconnects.
    const body = readLeniently(request.header, req, req.iterator({ destroyOnReturn: false }));
    res.once('finish', () => req.resume());
    const response = await explain(handler, await handler({ ...request, body }));
    response.header?.set('x-request-id', values.get(kOrigin).requestId);
    await universalResponseToNodeResponse(response, res);
  } catch {
    // The client disconnected while the request was read or the response written, or the Host header is invalid.
    if (!res.headersSent) res.writeHead(400, { 'content-type': 'application/json' }).end(refusal('MALFORMED_REQUEST'));
    else res.destroy();
  }
}

/** The context values of a request, for the interceptors: its origin and the protocol. */
export function contextValuesOf(req: IncomingMessage, proxyHops: number): ContextValues {
  const header = (name: string): string | null => [req.headers[name] ?? null].flat().join(',') || null;
  const origin = readOrigin(header, req.socket.remoteAddress ?? '', proxyHops);
  return createContextValues().set(kOrigin, origin).set(kSystem, 'connectrpc');
}

const reasonOfStatus: Readonly<Record<number, Reason>> = { 405: 'METHOD_NOT_FOUND', 415: 'ENCODING_NOT_SUPPORTED' };

/**
 * Gives the errors that Connect raises before the interceptors run (a body that is not JSON, invalid gzip, a wrong
 * content type) the codes and reasons of this service, and removes their text, which may quote the body.
 */
async function explain(handler: UniversalHandler, response: UniversalServerResponse): Promise<UniversalServerResponse> {
  if (response.status === 200 || response.status === 304) return response;
  const body = Buffer.concat(await Array.fromAsync(response.body ?? []));
  const { code, details } = parse(body);
  if (details) return { ...response, body: iterate(body) };
  const reason = reasonOfStatus[response.status] ?? reasonOfCode(code);
  const status = reason === 'MALFORMED_REQUEST' ? 400 : response.status;
  const explained = refusal(reason);
  const header = new Headers(response.header);
  header.set('content-type', 'application/json');
  header.set('content-length', `${explained.byteLength}`);
  header.delete('content-encoding');
  if (status === 405) header.set('allow', handler.allowedMethods.join(', '));
  return { status, header, body: iterate(explained) };
}

function refusal(reason: Reason): Uint8Array {
  return errorToJsonBytes(toConnectError(new Refusal(reason)), undefined);
}

function parse(body: Buffer): { code: Code; details: boolean } {
  try {
    const error = JSON.parse(body.toString()) as { code: string; details?: unknown[] };
    return { code: codeFromString(error.code) ?? 0, details: (error.details?.length ?? 0) > 0 } as never;
  } catch {
    return { code: 0 as Code, details: false };
  }
}

async function* iterate(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
