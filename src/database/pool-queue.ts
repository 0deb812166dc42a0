import { AsyncLocalStorage } from 'node:async_hooks';
import type { MikroORM } from '@mikro-orm/postgresql';
import type pg from 'pg';

/** A call that may leave while it waits for a connection. */
interface Waiter {
  readonly signal: AbortSignal;
  /** Whether the wait then throws the signal's reason. */
  readonly throws: boolean;
}

type Connect = () => Promise<pg.PoolClient>;

const waiters = new AsyncLocalStorage<Waiter | undefined>();

/**
 * Runs `work`. Aborting the signal while it waits for a connection removes it from the pool's queue, and the wait throws
 * the signal's reason.
 */
export function leavingWith<T>(signal: AbortSignal | undefined, work: () => T): T {
  return waiters.run(signal && { signal, throws: true }, work);
}

/**
 * The same for a query that Kysely runs with the signal. Kysely throws the reason itself, and would print to stderr a later
 * error of the wait, so the wait never settles.
 */
export function leavingSilently<T>(signal: AbortSignal, query: () => T): T {
  return waiters.run({ signal, throws: false }, query);
}

/** Makes the queries that an entity manager runs with a signal leave the queue when it is aborted. */
export function letQueriesLeave(orm: MikroORM): void {
  const connection = orm.em.getConnection();
  const execute = connection.execute.bind(connection);
  connection.execute = ((...query: Parameters<typeof execute>) => {
    const [, , , transaction, context] = query;
    const { signal } = (context ?? {}) as { signal?: AbortSignal };
    return signal && !transaction ? leavingSilently(signal, () => execute(...query)) : execute(...query);
  }) as typeof execute;
}

/** Makes `leavingWith` and `leavingSilently` work for a pool. */
export function letCallsLeave(pool: pg.Pool): void {
  const connect = pool.connect.bind(pool) as Connect;
  pool.connect = (() => {
    const waiter = waiters.getStore();
    // With an idle connection for each call there is no wait.
    if (!waiter || pool.idleCount > pool.waitingCount) return connect();
    return connectOrLeave(pool, connect, waiter);
  }) as typeof pool.connect;
}

function connectOrLeave(pool: pg.Pool, connect: Connect, { signal, throws }: Waiter): Promise<pg.PoolClient> {
  return new Promise((resolve, reject) => {
    const queue = queueOf(pool);
    const length = queue.length;
    const arriving = connect();
    const place = queue.length > length ? queue.at(-1) : undefined;
    let hasLeft = false;
    const leave = (): void => {
      hasLeft = true;
      if (queue.includes(place)) queue.splice(queue.indexOf(place), 1);
      if (throws) reject(signal.reason);
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
