import { type Message, toBinary, toJson } from '@bufbuild/protobuf';
import { createConnectRouter, type Interceptor, type MethodImplSpec } from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { Refusal } from '../errors.ts';
import type { LogBug } from '../rpc/bug.ts';
import { reportBug } from '../rpc/connect-error.ts';
import { kOrigin } from '../rpc/context.ts';
import { longestStream } from '../rpc/deadline.ts';
import { throughStream } from '../rpc/messages.ts';
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
  readonly logBug: LogBug;
}

/** Serves streams with Connect's own adapter. The handlers are listed by their paths. */
export function streamHandlers(specs: readonly MethodImplSpec[], options: StreamOptions): Map<string, Handler> {
  const router = createConnectRouter({
    grpc: false,
    grpcWeb: false,
    interceptors: [...options.interceptors, writable(options)],
    readMaxBytes: largestRequest,
    maxTimeoutMs: longestStream,
    jsonOptions: { ...jsonOptionsOf(options), ignoreUnknownFields: !options.refusesUnknownFields },
    acceptCompression: [compressionGzip],
  });
  for (const { method, impl } of specs) router.rpc(method, impl as never);
  return new Map(router.handlers.map((each) => [each.requestPath, (exchange) => serveStream(each, exchange, options)]));
}

/** Writes each message innermost, where what throws is logged. Connect itself would send INTERNAL and log nothing. */
function writable(rules: JsonRules): Interceptor {
  return (next) => async (req) => {
    const { output } = req.method;
    const isJson = req.header.get('content-type')?.includes('json');
    const write = (message: Message) =>
      isJson ? toJson(output, message, jsonOptionsOf(rules)) : toBinary(output, message);
    const written = async function* (messages: AsyncIterable<Message>) {
      for await (const message of messages) {
        write(message);
        yield message;
      }
    };
    return throughStream(await next(req), written);
  };
}

async function serveStream(handler: UniversalHandler, exchange: Exchange, options: StreamOptions): Promise<void> {
  const { res, values } = exchange;
  const { openCalls, logBug } = options;
  try {
    const unsupported = refuse(handler, exchange);
    if (unsupported) return sendReply(res, unsupported);
    const response = await handler(requestOf(exchange, openCalls));
    await universalResponseToNodeResponse(response, res);
  } catch (thrown) {
    if (thrown instanceof Refusal) return sendReply(res, refused(thrown));
    // Or else the client disconnected while the request was read or the response written.
    if (!res.destroyed) reportBug(logBug, thrown, values.get(kOrigin).requestId);
    res.destroy();
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
  const slot = openCalls.add(call);
  const end = () => {
    openCalls.remove(slot);
    call.abort(closed.reason);
  };
  closed.addEventListener('abort', end, { once: true });
  return call.signal;
}
