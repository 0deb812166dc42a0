import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseClient } from './client.ts';
import type { Run } from './concurrent-run.ts';
import type { Connections } from './connections.ts';
import { installationLock } from './transaction.ts';

/** Milliseconds between two attempts. */
const pause = 200;

/**
 * Takes the lock of the installation for the session of this client, once the process that has it gives it up. Returns the
 * function that gives it up.
 *
 * Race: a concurrent index build waits until every older snapshot has been dropped. A process that waited inside of
 * pg_advisory_lock would keep the snapshot of that statement, the build would wait for it, and it for the build. So the lock
 * is tried again and again, and between two attempts there is no snapshot.
 *
 * The lock belongs to the connection that migrates: the statement of a process that was killed keeps it until it ends, so
 * the next process does not drop an index that is still being built.
 */
export async function lockMigrations({ connections, client, report }: Run): Promise<() => Promise<void>> {
  if (connections.settingsBy === 'role') return lockByTransaction(connections);
  for (let tried = 0; !(await isGiven(client, 'pg_try_advisory_lock')); tried++) {
    if (tried === 5) report('waits for another process that migrates');
    await sleep(pause);
  }
  return async () => {
    await client.query(`select pg_advisory_unlock(${installationLock})`);
  };
}

/**
 * Behind a pooler that changes servers after each transaction, only an open transaction keeps its server. This one has no
 * snapshot between its statements, because it is read committed.
 */
async function lockByTransaction(connections: Connections): Promise<() => Promise<void>> {
  const holder = await connections.open();
  for (;;) {
    await holder.query('begin isolation level read committed');
    await holder.query('set local idle_in_transaction_session_timeout = 0');
    if (await isGiven(holder, 'pg_try_advisory_xact_lock')) return () => holder.end();
    await holder.query('rollback');
    await sleep(pause);
  }
}

// Without bound values: a portal would keep the snapshot of its statement until the next statement.
async function isGiven(client: DatabaseClient, lock: string): Promise<boolean> {
  const { rows } = await client.query<{ given: boolean }>(`select ${lock}(${installationLock}) as given`);
  return rows[0]!.given;
}
