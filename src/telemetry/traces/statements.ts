import { SpanKind, type Tracer } from '@opentelemetry/api';
import type pg from 'pg';
import { nameOf } from '../../database/statement.ts';
import { inSpan } from './spans.ts';

type Query = (text: unknown, ...rest: unknown[]) => Promise<unknown>;

/**
 * A client span for each statement that a traced call sends over this pool. The attributes are those of OpenTelemetry's
 * conventions for databases, except for the statement's text: the name identifies it.
 */
export function traceStatements(tracer: Tracer, pool: pg.Pool): void {
  const known = new WeakSet<pg.PoolClient>();
  // On acquire instead of connect, because the pool may have connections already.
  pool.on('acquire', (client) => {
    if (known.has(client)) return;
    known.add(client);
    const query = client.query.bind(client) as Query;
    client.query = ((text: unknown, ...rest: unknown[]) => {
      const attributes = { 'db.system.name': 'postgresql', 'db.query.summary': summaryOf(text) };
      return inSpan(tracer, attributes['db.query.summary'], attributes, () => query(text, ...rest), SpanKind.CLIENT);
    }) as typeof client.query;
  });
}

/** The name of a prepared statement, or the verb of another one. */
function summaryOf(text: unknown): string {
  if (typeof text !== 'string') return (text as { name?: string }).name ?? 'statement';
  return nameOf(text) ?? /^\s*([a-z]+)/i.exec(text)?.[1]?.toLowerCase() ?? 'statement';
}
