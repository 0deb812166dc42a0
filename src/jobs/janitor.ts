import type { MikroORM } from '@mikro-orm/postgresql';
import { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';

const batch = 500;
const dayMs = 86_400_000;

// Each by the index on its column.
const rowsOf = (table: string, key: string, column: string) =>
  statement<object>(
    `sweep_${table}`,
    `delete from ${table} where (${key}) in
       (select ${key} from ${table} where ${column} < $1 order by ${column} limit ${batch} for update skip locked)
     returning 1`,
  );

const daysKept = [
  [rowsOf('rate_limits', 'project_id, key', 'window_ends_at'), 1 / 24],
  [rowsOf('sessions', 'id', 'expires_at'), 30],
  [rowsOf('usage_counters', 'project_id, subject', 'resets_at'), 30],
  [rowsOf('billing_events', 'project_id, event_id', 'received_at'), 90],
  [rowsOf('one_time_tokens', 'id', 'expires_at'), 7],
  [rowsOf('mail_outbox', 'id', 'ended_at'), 7],
] as const;

/**
 * Removes rows nobody can use any more, in small batches that wait for no lock. Nothing depends on it: whether something
 * has expired is asked in the query that uses it.
 */
export async function sweep(orm: MikroORM, now: Date): Promise<number> {
  const autocommit = new Autocommit(orm);
  let removed = 0;
  for (const [sweepRows, days] of daysKept) {
    const before = new Date(now.getTime() - days * dayMs);
    for (let rows = batch; rows === batch; removed += rows) rows = (await sweepRows(autocommit, [before])).length;
  }
  return removed;
}
