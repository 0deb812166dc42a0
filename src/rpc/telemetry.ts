import type { DescMethod, Message } from '@bufbuild/protobuf';
import { type Code, ConnectError, type ContextValues, type Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { Refusal } from '../errors.ts';
import { kCaller, kOrigin, kTraceId } from './context.ts';
import { throughStream } from './messages.ts';
import { statusName } from './status.ts';

/** Counts calls. It runs on every call, so it has about a microsecond. */
export interface CallCounter {
  began(): void;
  /** The code is 0 for a call that succeeded. */
  ended(method: DescMethod, values: ContextValues, seconds: number, code: Code | 0, refusal?: Refusal): void;
}

/** Logs one line per call: caller, method, status and duration. Never the contents of a request or response. */
export function telemetry(log: Logger, counter?: CallCounter): Interceptor {
  // No value in these lines comes from the body of a request, and redaction costs more than writing the line.
  const lines = log.child({}, { redact: [] });
  return (next) => async (req) => {
    const startedAt = performance.now();
    counter?.began();
    const end = (code: Code | 0, refusal?: Refusal): void => {
      const ms = performance.now() - startedAt;
      counter?.ended(req.method, req.contextValues, ms / 1000, code, refusal);
      const { requestId, address } = req.contextValues.get(kOrigin);
      const traceId = req.contextValues.get(kTraceId);
      const found = req.contextValues.get(kCaller);
      const caller = found instanceof Error ? undefined : found;
      const user = caller?.kind === 'user' ? caller : undefined;
      // pino leaves out what is undefined. Objects of one shape are cheaper than ones that are spread together.
      lines.info({
        requestId,
        method: `${req.service.typeName}/${req.method.name}`,
        code: statusName(code),
        reason: refusal?.reason,
        traceId,
        ms: Math.round(ms * 100) / 100,
        address,
        userId: user?.userId,
        apiKeyId: user?.apiKey && user.sessionId,
        sessionId: user?.apiKey ? undefined : user?.sessionId,
        service: caller?.kind === 'service' ? caller.name : undefined,
      });
    };
    const fail = (thrown: unknown): ConnectError => {
      const error = ConnectError.from(thrown);
      error.metadata.set('x-request-id', req.contextValues.get(kOrigin).requestId);
      end(error.code, error.cause instanceof Refusal ? error.cause : undefined);
      return error;
    };
    try {
      const res = await next(req);
      res.header.set('x-request-id', req.contextValues.get(kOrigin).requestId);
      if (!res.stream) end(0);
      return throughStream(res, (messages) => untilFirst(messages, () => end(0), fail));
    } catch (thrown) {
      throw fail(thrown);
    }
  };
}

/**
 * A stream counts as a call that ends with its first message: how long it then waits says nothing about the service. An error
 * after that is not counted.
 */
async function* untilFirst(messages: AsyncIterable<Message>, end: () => void, fail: (thrown: unknown) => ConnectError) {
  let isCounted = false;
  try {
    for await (const message of messages) {
      if (!isCounted) end();
      isCounted = true;
      yield message;
    }
  } catch (thrown) {
    throw isCounted ? thrown : fail(thrown);
  }
  if (!isCounted) end();
}
