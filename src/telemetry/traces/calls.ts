import { ConnectError, type Interceptor } from '@connectrpc/connect';
import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { Refusal } from '../../errors.ts';
import { kSystem, kTraceId, kWork } from '../../rpc/context.ts';
import { isFailure, statusName } from '../../rpc/status.ts';
import { inSpan } from './spans.ts';
import { readTraceContext } from './trace-context.ts';

/**
 * One server span for each call, by OpenTelemetry's conventions for RPC. It contains the method and the status, but neither
 * the caller nor the request. The span has an error only when the service failed.
 */
export function traceCalls(tracer: Tracer): Interceptor {
  return (next) => async (req) => {
    const method = `${req.service.typeName}/${req.method.name}`;
    const attributes = { 'rpc.system.name': req.contextValues.get(kSystem), 'rpc.method': method };
    const caller = readTraceContext(req.header);
    const above = caller ? trace.setSpanContext(ROOT_CONTEXT, caller) : ROOT_CONTEXT;
    const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, above);
    req.contextValues.set(kTraceId, span.spanContext().traceId);
    try {
      const res = await context.with(trace.setSpan(above, span), () => next(req));
      span.setAttribute('rpc.response.status_code', statusName(0));
      return res;
    } catch (thrown) {
      describe(span, ConnectError.from(thrown));
      throw thrown;
    } finally {
      span.end();
    }
  };
}

function describe(span: Span, { code, cause }: ConnectError): void {
  const status = statusName(code);
  span.setAttribute('rpc.response.status_code', status);
  if (cause instanceof Refusal) span.setAttribute('gatehouse.reason', cause.reason);
  if (!isFailure(code)) return;
  span.setAttribute('error.type', status);
  // Without a message and without an exception event, because an error may quote the request.
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** A span around the transaction of a call, with all its attempts. Runs inside the unit of work. */
export function traceTransactions(tracer: Tracer): Interceptor {
  return (next) => (req) => {
    const work = req.contextValues.get(kWork);
    if (work) {
      const change: typeof work.change = (closure, locks) =>
        inSpan(tracer, 'transaction', {}, () => work.change(closure, locks));
      req.contextValues.set(kWork, Object.create(work, { change: { value: change } }));
    }
    return next(req);
  };
}
