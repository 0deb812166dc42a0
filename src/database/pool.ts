import type pg from 'pg';

/** Hears how many seconds each connection was waited for; the signal of a statement is not its business. */
export type HearWait = (seconds: number) => void;

/** Has `hear` told of every connection taken from the pool, also of those that came too late. */
export function timeWaits(pool: pg.Pool, hear: HearWait): void {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  pool.connect = (() => {
    // The common case, and not worth looking at the clock twice.
    if (pool.idleCount > 0) {
      hear(0);
      return connect();
    }
    const startedAt = performance.now();
    return connect().finally(() => hear((performance.now() - startedAt) / 1000));
  }) as typeof pool.connect;
}
