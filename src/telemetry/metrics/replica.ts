import type { Readiness } from '../../rpc/readiness.ts';
import type { Exposition } from './exposition.ts';

/** How a replica serves. */
export interface Replica {
  readonly readiness: () => Readiness;
  /** Writes that failed because of the server, by SQLSTATE. */
  readonly writeFailures: ReadonlyMap<string, number>;
  /** Streams of AwaitLogin. */
  readonly loginStreams: () => number;
  readonly connections: () => { readonly open: number; readonly refused: number; readonly limit: number };
}

export function exposeReadiness(to: Exposition, { readiness, writeFailures }: Replica): void {
  to.gauge('gatehouse_ready', 'Whether the replica reports itself ready: 1 or 0.', 'max', () =>
    readiness() === 'not ready' ? 0 : 1,
  );
  to.gauge('gatehouse_degraded', 'Whether the replica is ready, but the database fails writes: 1 or 0.', 'max', () =>
    readiness() === 'degraded' ? 1 : 0,
  );
  to.counter('gatehouse_database_write_failures_total', 'Writes that failed because of the database server.', () =>
    [...writeFailures].map(([sqlstate, count]) => [{ sqlstate }, count]),
  );
}

export function exposeConnections(to: Exposition, { connections, loginStreams }: Replica): void {
  to.gauge('gatehouse_login_streams', 'Open streams of AwaitLogin.', 'sum', loginStreams);
  to.gauge('gatehouse_connections', 'Open connections of clients.', 'sum', () => connections().open);
  to.gauge(
    'gatehouse_connections_limit',
    'Connections that fit into the limit of open files.',
    'sum',
    () => connections().limit,
  );
  to.counter(
    'gatehouse_connections_refused_total',
    'Connections closed at once, because of CONNECTIONS_PER_ADDRESS or the limit of open files.',
    () => connections().refused,
  );
}
