import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { statement } from './statement.ts';

const LeaseTable = defineEntity({
  name: 'Lease',
  tableName: 'leases',
  properties: {
    name: p.string().length(32).primary(),
    holder: p.string().length(128).nullable(),
    /** By the database's clock. */
    until: p.datetime(3).nullable(),
  },
});

/** Which process does the work of this name for all. A row without a holder is for work that an operator starts. */
export class Lease extends LeaseTable.class {}
LeaseTable.setClass(Lease);

/** Work that one process at a time does for all processes of a database. */
export const sharedWork = ['audit days', 'audit seals', 'janitor', 'mail queue'] as const;
export type SharedWork = (typeof sharedWork)[number];

const lock = statement<{ holder: string | null }, { name: string }>(
  'lease_lock',
  'select holder from leases where name = :name for update skip locked',
);

const wait = statement<{ name: string }, { name: string }>(
  'lease_wait',
  'select name from leases where name = :name for update',
);

/**
 * Locks the lease of this work until the transaction ends. False if another transaction does this work now, or if `holder`
 * does not have the lease. One that has expired, but was not taken by another process, is still held: nobody can take it
 * while its row is locked.
 */
export async function lockLease(em: EntityManager, name: SharedWork, holder?: string): Promise<boolean> {
  // Under a stricter isolation the transaction would not see what the previous holder committed.
  await em.execute('set transaction isolation level read committed');
  const [row] = await lock(em, { name });
  return row !== undefined && (holder === undefined || row.holder === holder);
}

/** Locks the row of work that an operator starts until the transaction ends, once no other transaction does it. */
export async function lockWork(em: EntityManager, name: 'signing keys'): Promise<void> {
  // Under a stricter isolation the transaction would not see what was committed while it waited.
  await em.execute('set transaction isolation level read committed');
  await wait(em, { name });
}
