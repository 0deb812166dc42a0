import { setTimeout as sleep } from 'node:timers/promises';
import { type EntityManager, FlushMode, type MikroORM } from '@mikro-orm/postgresql';
import { leavingWith } from './pool-queue.ts';
import { faultOf } from './sqlstate.ts';

const attempts = 8;

/**
 * Runs the closure in one transaction and commits it. On 40001 and 40P01 the closure runs again with a fresh entity
 * manager, after a growing random wait. Once `signal` is aborted, the running statement is cancelled and nothing commits.
 * Retries are counted under the name of the operation.
 */
export function transact<T>(
  orm: MikroORM,
  closure: (em: EntityManager) => Promise<T>,
  signal?: AbortSignal,
  operation = 'maintenance',
): Promise<T> {
  const run = () => attempt(forkFor(orm, signal), closure, signal);
  return retryConflicts(() => leavingWith(signal, run), operation, signal);
}

const signals = new WeakMap<EntityManager, AbortSignal>();

/** An entity manager whose queries are cancelled in the database when the signal is aborted. */
export function forkFor(orm: MikroORM, signal?: AbortSignal): EntityManager {
  // With the default flush mode a query sends pending inserts, and a later refusal could not take them back.
  const em = orm.em.fork({ flushMode: FlushMode.COMMIT, ...(signal && { signal }) });
  if (signal) signals.set(em, signal);
  return em;
}

/** The signal that an entity manager was given. */
export function signalOf(em: EntityManager): AbortSignal | undefined {
  return signals.get(em);
}

async function attempt<T>(
  em: EntityManager,
  closure: (em: EntityManager) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  await em.begin();
  try {
    signal?.throwIfAborted();
    const result = await closure(em);
    await em.flush();
    signal?.throwIfAborted();
    await em.commit();
    return result;
  } catch (error) {
    // A rollback on a broken connection fails too; the first error is the one to report.
    await em.rollback().catch(() => {});
    throw error;
  }
}

const retries = new Map<string, number>();

/** How often each operation of this process was repeated. */
export const retryCounts: ReadonlyMap<string, number> = retries;

/** Repeats an operation that failed because of a concurrent transaction. Throws the failure of the last attempt. */
export async function retryConflicts<T>(run: () => Promise<T>, operation: string, signal?: AbortSignal): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await run();
    } catch (error) {
      if (faultOf(error) !== 'conflict' || tried >= attempts) throw error;
      retries.set(operation, (retries.get(operation) ?? 0) + 1);
      await sleep(Math.random() * 5 * 2 ** tried, undefined, signal ? { signal } : {});
    }
  }
}

/** Milliseconds between two tries to take the lock of the installation. */
const lockPause = 100;

/** The number of the advisory lock of the installation: "gatehouse". */
export const installationLock = 0x6a7e4005e;

/**
 * Takes the lock of the installation until the transaction ends. Migrations and the creation of the first keys must not run
 * at the same time.
 */
export async function lockInstallation(em: EntityManager): Promise<void> {
  // Under a stricter isolation the transaction would not see what was committed while it waited.
  await em.execute('set transaction isolation level read committed');
  // Race: a concurrent index build waits for the snapshot of a statement that waits. Between two tries there is none.
  while (!(await isGiven(em))) await sleep(lockPause);
}

async function isGiven(em: EntityManager): Promise<boolean> {
  const [row] = await em.execute('select pg_try_advisory_xact_lock(?) as given', [installationLock]);
  return row!.given;
}
