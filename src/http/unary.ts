import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Message } from '@bufbuild/protobuf';
import type { ContextValues, Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import type { LogBug } from '../rpc/bug.ts';
import { type CallContext, openCallContext } from '../rpc/call-context.ts';
import { reportBug } from '../rpc/connect-error.ts';
import { kOrigin } from '../rpc/context.ts';
import type { OpenCalls } from '../rpc/open-calls.ts';
import { chainOf, type UnarySpec } from '../rpc/unary-chain.ts';
import { compressReply, isLarge } from './compression.ts';
import { type Reply, refused, sendReply } from './reply.ts';
import { readSentBody, readSentQuery } from './request-body.ts';
import { headersFrom } from './request-headers.ts';
import { type JsonRules, readJson, readProtobuf } from './request-message.ts';
import { type Asked, readAsked } from './unary-request.ts';
import { failure, success } from './unary-response.ts';

export interface UnaryOptions extends JsonRules {
  readonly interceptors: readonly Interceptor[];
  readonly openCalls: OpenCalls;
  readonly logBug: LogBug;
}

/** One request and its response. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly values: ContextValues;
}

/** Serves the requests for one method. */
export type Handler = (exchange: Exchange) => Promise<void>;

/** Serves a unary method by the Connect protocol, with the same chain as over gRPC. */
export function unaryHandler(spec: UnarySpec, options: UnaryOptions): Handler {
  const invoke = chainOf(spec, options.interceptors);
  const respond = async (exchange: Exchange, asked: Asked): Promise<Reply> => {
    const message = await readMessage(spec, exchange, asked, options);
    const context = openContext(spec, exchange, asked, options);
    try {
      return success(spec, await invoke(message, context), context, asked, options);
    } catch (thrown) {
      report(thrown, exchange, options);
      return failure(thrown, context, options);
    } finally {
      context.close();
    }
  };
  return async (exchange) => {
    const { req, res } = exchange;
    try {
      const asked = readAsked(spec, req);
      if ('status' in asked) return sendReply(res, asked);
      const reply = await respond(exchange, asked);
      sendReply(res, isLarge(reply) ? await compressReply(reply, codings(req, asked)) : reply);
    } catch (thrown) {
      // Anything but a refusal is a bug, or the client has disconnected and receives nothing.
      report(thrown, exchange, options);
      if (res.headersSent) res.destroy();
      else sendReply(res, refused(thrown instanceof Refusal ? thrown : new Refusal('INTERNAL')));
    }
  };
}

function report(thrown: unknown, { values }: Exchange, { logBug }: UnaryOptions): void {
  reportBug(logBug, thrown, values.get(kOrigin).requestId);
}

async function readMessage({ method }: UnarySpec, { req }: Exchange, asked: Asked, rules: JsonRules): Promise<Message> {
  const { query, isGzip, isJson } = asked;
  const sent = await (query ? readSentQuery(query, isGzip) : readSentBody(req, isGzip));
  return isJson ? readJson(method.input, sent, rules) : readProtobuf(method.input, sent);
}

function openContext(
  { method }: UnarySpec,
  { req, res, values }: Exchange,
  { timeoutMs }: Asked,
  { openCalls }: UnaryOptions,
): CallContext {
  const { method: requestMethod = '', url = '', headers } = req;
  const scheme = 'encrypted' in req.socket ? 'https' : 'http';
  const context = openCallContext({
    method,
    protocolName: 'connect',
    requestMethod,
    url: `${scheme}://${headers.host}${url}`,
    requestHeader: headersFrom(headers),
    values,
    timeoutMs,
    openCalls,
  });
  const leave = () => context.abort('CANCELED');
  if (res.destroyed) leave();
  else res.once('close', leave);
  return context;
}

/** The codings that the client reads: without a header, the one that it has sent. */
function codings({ headers }: IncomingMessage, { isGzip }: Asked): string | undefined {
  return headers['accept-encoding'] || (isGzip ? 'gzip' : undefined);
}
