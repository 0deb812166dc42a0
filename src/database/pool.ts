import type pg from 'pg';

/** Receives the seconds that a connection was waited for. */
type ObserveWait = (seconds: number) => void;

/** Reports the wait for every connection taken from the pool, also for those that arrive after the call gave up. */
export function timeWaits(pool: pg.Pool, observe: ObserveWait): void {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  pool.connect = (() => {
    // The common case saves two reads of the clock.
    if (pool.idleCount > 0) {
      observe(0);
      return connect();
    }
    const startedAt = performance.now();
    return connect().finally(() => observe((performance.now() - startedAt) / 1000));
  }) as typeof pool.connect;
}
