import type { MikroORM } from '@mikro-orm/postgresql';
import { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';

const batch = 500;
const dayMs = 86_400_000;

/** Deletes a batch of rows by the index on `column`. */
const deleteFrom = (table: string, key: string, column: string) =>
  statement<object, { before: Date }>(
    `sweep_${table}`,
    `delete from ${table} where (${key}) in
       (select ${key} from ${table} where ${column} < :before order by ${column} limit ${batch} for update skip locked)
     returning 1`,
  );

const daysKept = [
  [deleteFrom('rate_limits', 'project_id, key', 'window_ends_at'), 1 / 24],
  [deleteFrom('sessions', 'id', 'expires_at'), 30],
  [deleteFrom('usage_counters', 'project_id, subject', 'resets_at'), 30],
  [deleteFrom('billing_events', 'project_id, event_id', 'received_at'), 90],
  [deleteFrom('one_time_tokens', 'id', 'expires_at'), 7],
  [deleteFrom('database_outages', 'started_at', 'ended_at'), 1],
  [deleteFrom('mail_outbox', 'id', 'ended_at'), 7],
] as const;

/**
 * Deletes rows that are no longer used, in small batches that wait for no lock, and returns their number. Correctness does
 * not depend on it: expiry is checked by the statement that uses a row.
 */
export async function sweep(orm: MikroORM, now: Date): Promise<number> {
  const autocommit = new Autocommit(orm);
  let deleted = 0;
  for (const [deleteBatch, days] of daysKept) {
    const before = new Date(now.getTime() - days * dayMs);
    for (let rows = batch; rows === batch; deleted += rows) rows = (await deleteBatch(autocommit, { before })).length;
  }
  return deleted;
}
