import type { Tracer } from '@opentelemetry/api';
import type pg from 'pg';
import { traceCalls, traceTransactions } from './calls.ts';
import { inSpan } from './spans.ts';
import { traceStatements } from './statements.ts';

export type Tracing = ReturnType<typeof openTracing>;

/** Everything that creates spans. It is imported only where a tracer is: OpenTelemetry's API consists of a hundred modules. */
export function openTracing(tracer: Tracer) {
  return {
    calls: traceCalls(tracer),
    transactions: traceTransactions(tracer),
    statementsOf: (pool: pg.Pool) => traceStatements(tracer, pool),
    hash: <Result>(work: () => Promise<Result>) => inSpan(tracer, 'hash password', {}, work),
  };
}
