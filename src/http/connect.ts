import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from '@bufbuild/protobuf';
import {
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type Interceptor,
  type ServiceImplSpec,
} from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { Refusal } from '../errors.ts';
import { kOrigin, kSystem } from '../rpc/context.ts';
import { longestStream } from '../rpc/deadline.ts';
import { readOrigin } from '../rpc/origin.ts';
import { mount } from '../rpc/services.ts';
import { markProgress, refusalBody, respond } from './connect-faults.ts';
import { readLeniently } from './lenient-request.ts';
import { largestRequest } from './limits.ts';

export interface GatewayOptions {
  readonly interceptors: Interceptor[];
  readonly proxyHops: number;
  /** Whether JSON with fields that are not in the contract is refused, and not read without them. */
  readonly refusesUnknownFields: boolean;
  /** The types that a google.protobuf.Any in JSON may hold. */
  readonly registry?: Registry;
  readonly shutdownSignal: AbortSignal;
}

/** Handles a request. Returns false for a path that it does not serve. */
export type Gateway = (req: IncomingMessage, res: ServerResponse) => boolean;

/** Serves RPCs as JSON (and binary) by the Connect protocol. gRPC has its own port; gRPC-web is not supported. */
export function connectGateway(services: readonly ServiceImplSpec[], options: GatewayOptions): Gateway {
  const router = createConnectRouter({
    grpc: false,
    grpcWeb: false,
    interceptors: [markProgress, ...options.interceptors],
    readMaxBytes: largestRequest,
    maxTimeoutMs: longestStream,
    // Unknown names are looked for before. False, 0 and empty values are shown: a client without the proto cannot know them.
    jsonOptions: {
      ignoreUnknownFields: !options.refusesUnknownFields,
      alwaysEmitImplicit: true,
      ...(options.registry && { registry: options.registry }),
    },
    acceptCompression: [compressionGzip],
    shutdownSignal: options.shutdownSignal,
  });
  mount(router, services);
  const handlers = new Map(router.handlers.map((each) => [each.requestPath, each]));
  return (req, res) => {
    const handler = handlers.get(req.url?.split('?', 1)[0] ?? '');
    if (handler) void serve(handler, req, res, options);
    return handler !== undefined;
  };
}

async function serve(handler: UniversalHandler, req: IncomingMessage, res: ServerResponse, options: GatewayOptions) {
  const values = contextValuesOf(req, options.proxyHops);
  try {
    const request = universalRequestFromNodeRequest(req, res, undefined, values);
    // The rest of a body that is too large is read and discarded. Unread, it would hide that the client disconnects.
    const body = readLeniently(request.header, req, req.iterator({ destroyOnReturn: false }));
    res.once('finish', () => req.resume());
    const response = await respond(handler, { ...request, body }, options.refusesUnknownFields);
    response.header?.set('x-request-id', values.get(kOrigin).requestId);
    await universalResponseToNodeResponse(response, res);
  } catch {
    // The client disconnected while the request was read or the response written, or the Host header is invalid.
    if (res.headersSent) return void res.destroy();
    const malformed = new Refusal('MALFORMED_REQUEST', { detail: 'the Host header is not a host' });
    res.writeHead(400, { 'content-type': 'application/json' }).end(refusalBody(malformed));
  }
}

/** The context values of a request, for the interceptors: its origin and the protocol. */
export function contextValuesOf(req: IncomingMessage, proxyHops: number): ContextValues {
  const header = (name: string): string | null => [req.headers[name] ?? null].flat().join(',') || null;
  const origin = readOrigin(header, req.socket.remoteAddress ?? '', proxyHops);
  return createContextValues().set(kOrigin, origin).set(kSystem, 'connectrpc');
}
