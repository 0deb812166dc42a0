import { createConnectRouter, type Interceptor, type MethodImplSpec } from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { Refusal } from '../errors.ts';
import { longestStream } from '../rpc/deadline.ts';
import type { OpenCalls } from '../rpc/open-calls.ts';
import { timeoutIn, wrongHost, wrongType, wrongVerb } from './connect-faults.ts';
import { contentTypeOf } from './lenient-request.ts';
import { largestRequest } from './limits.ts';
import { refused, sendReply } from './reply.ts';
import type { JsonRules } from './request-message.ts';
import type { Exchange, Handler } from './unary.ts';
import { jsonOptionsOf } from './unary-response.ts';

export interface StreamOptions extends JsonRules {
  readonly interceptors: Interceptor[];
  readonly openCalls: OpenCalls;
}

/** Serves streams with Connect's own adapter. The handlers are listed by their paths. */
export function streamHandlers(specs: readonly MethodImplSpec[], options: StreamOptions): Map<string, Handler> {
  const router = createConnectRouter({
    grpc: false,
    grpcWeb: false,
    interceptors: options.interceptors,
    readMaxBytes: largestRequest,
    maxTimeoutMs: longestStream,
    jsonOptions: { ...jsonOptionsOf(options), ignoreUnknownFields: !options.refusesUnknownFields },
    acceptCompression: [compressionGzip],
  });
  for (const { method, impl } of specs) router.rpc(method, impl as never);
  return new Map(
    router.handlers.map((each) => [each.requestPath, (exchange) => serveStream(each, exchange, options.openCalls)]),
  );
}

async function serveStream(handler: UniversalHandler, exchange: Exchange, openCalls: OpenCalls): Promise<void> {
  const { res } = exchange;
  try {
    const unsupported = refuse(handler, exchange);
    if (unsupported) return sendReply(res, unsupported);
    const response = await handler(requestOf(exchange, openCalls));
    await universalResponseToNodeResponse(response, res);
  } catch (thrown) {
    // The client disconnected while the request was read or the response written.
    if (thrown instanceof Refusal) sendReply(res, refused(thrown));
    else res.destroy();
  }
}

function refuse({ allowedMethods, supportedContentType }: UniversalHandler, { req }: Exchange) {
  const host = wrongHost(req);
  if (host) return host;
  if (!allowedMethods.includes(req.method ?? '')) return wrongVerb(allowedMethods.join(', '));
  return supportedContentType(contentTypeOf(req)) ? undefined : wrongType(false);
}

function requestOf({ req, res, values }: Exchange, openCalls: OpenCalls) {
  const timeout = timeoutIn(req, longestStream);
  const request = universalRequestFromNodeRequest(req, res, undefined, values);
  request.header.set('content-type', contentTypeOf(req));
  // Connect would refuse a longer timeout.
  request.header.set('connect-timeout-ms', `${timeout}`);
  // The rest of a body that is too large is read and discarded. Unread, it would hide that the client disconnects.
  res.once('finish', () => req.resume());
  return { ...request, body: req.iterator({ destroyOnReturn: false }), signal: signalOf(request.signal, openCalls) };
}

/** Aborted when the connection closes, and by the shutdown: Connect itself would add listeners to the shutdown's signal. */
function signalOf(closed: AbortSignal, openCalls: OpenCalls): AbortSignal {
  const call = new AbortController();
  openCalls.add(call);
  const end = () => {
    openCalls.remove(call);
    call.abort(closed.reason);
  };
  closed.addEventListener('abort', end, { once: true });
  return call.signal;
}
