import { type Attributes, context, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';

/** Runs the work in a child of the active span. Outside traced calls no span is started. */
export async function inSpan<T>(
  tracer: Tracer,
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
  kind = SpanKind.INTERNAL,
): Promise<T> {
  const above = context.active();
  if (!trace.getSpan(above)) return work();
  const span = tracer.startSpan(name, { kind, attributes }, above);
  try {
    return await context.with(trace.setSpan(above, span), work);
  } catch (thrown) {
    // Only the type of the error, because its message may quote values.
    span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', typeOf(thrown));
    throw thrown;
  } finally {
    span.end();
  }
}

function typeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return typeof thrown;
  const { code } = thrown as { code?: unknown };
  return typeof code === 'string' ? code : thrown.name;
}
