import { AsyncLocalStorage } from 'node:async_hooks';
import type pg from 'pg';

type Connect = () => Promise<pg.PoolClient>;

const signals = new AsyncLocalStorage<AbortSignal | undefined>();

/**
 * Runs `work` for a call that may leave. Aborting the signal while the work waits for a connection removes it from the
 * pool's queue; aborting it during a statement of the ORM cancels the statement. Both throw the signal's reason.
 */
export function leavingWith<T>(signal: AbortSignal | undefined, work: () => T): T {
  return signals.run(signal, work);
}

/** The signal of the call for which the current work is done. */
export function leavingSignal(): AbortSignal | undefined {
  return signals.getStore();
}

/** Makes `leavingWith` work for a pool. */
export function letCallsLeave(pool: pg.Pool): void {
  const connect = pool.connect.bind(pool) as Connect;
  pool.connect = (() => {
    const signal = signals.getStore();
    // With an idle connection for each call there is no wait.
    if (!signal || pool.idleCount > pool.waitingCount) return connect();
    return connectOrLeave(pool, connect, signal);
  }) as typeof pool.connect;
}

function connectOrLeave(pool: pg.Pool, connect: Connect, signal: AbortSignal): Promise<pg.PoolClient> {
  return new Promise((resolve, reject) => {
    const queue = queueOf(pool);
    const length = queue.length;
    const arriving = connect();
    const place = queue.length > length ? queue.at(-1) : undefined;
    let hasLeft = false;
    const leave = (): void => {
      hasLeft = true;
      if (queue.includes(place)) queue.splice(queue.indexOf(place), 1);
      reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    const settle = (done: () => void): void => {
      signal.removeEventListener('abort', leave);
      if (!hasLeft) done();
    };
    arriving.then(
      (client) => (hasLeft ? client.release() : settle(() => resolve(client))),
      (error) => settle(() => reject(error)),
    );
  });
}

// Private to pg-pool. Should it move one day, a call that has left keeps its place until its turn, and gives the
// connection back then.
function queueOf(pool: pg.Pool): unknown[] {
  return (pool as unknown as { _pendingQueue?: unknown[] })._pendingQueue ?? [];
}
