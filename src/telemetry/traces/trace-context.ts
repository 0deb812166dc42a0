import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api';

const traceParent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The span a caller says it is in (W3C Trace Context). The same from gRPC metadata as from HTTP headers. Undefined
 * without the header, or when it does not read: then the call begins a trace of its own.
 */
export function readTraceContext(header: Headers): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] =
    traceParent.exec(header.get('traceparent') ?? '') ?? [];
  // Later versions may say more behind it, the one we know says nothing.
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
