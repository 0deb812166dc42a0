import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api';

const traceParent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The span of the caller (W3C Trace Context), from gRPC metadata or HTTP headers. Undefined when the header is missing or
 * malformed: then the call starts a trace of its own.
 */
export function readTraceContext(header: Headers): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] =
    traceParent.exec(header.get('traceparent') ?? '') ?? [];
  // Later versions may append fields; version 00 has none.
  if (version === undefined || version === 'ff' || (version === '00' && rest)) return undefined;
  const state = header.get('tracestate');
  const found: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(state && { traceState: createTraceState(state) }),
  };
  return isSpanContextValid(found) ? found : undefined;
}
