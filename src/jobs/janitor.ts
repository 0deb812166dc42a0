import type { MikroORM } from '@mikro-orm/postgresql';
import { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';

const batch = 500;
const dayMs = 86_400_000;

/** Deletes a batch of rows by the index on `column`. */
const deleteFrom = (table: string, key: string, column: string, condition = 'true') =>
  statement<object, { before: Date }>(
    `sweep_${table}`,
    `delete from ${table} where (${key}) in
       (select ${key} from ${table} where ${column} < :before and ${condition} order by ${column} limit ${batch} for update skip locked)
     returning 1`,
  );

// Without a live session nobody can be the guest again. Sessions are deleted first, so the index holds few guests that stay.
const deleteGuests = statement<object, { before: Date }>(
  'sweep_users',
  `delete from users where id in
     (select u.id from users u
      where u.is_anonymous and u.created_at < :before and not exists (select 1 from sessions s where s.user_id = u.id)
      order by u.created_at limit ${batch} for update skip locked)
   returning 1`,
);

const deleteRevokedKeys = statement<object, { before: Date }>(
  'sweep_revoked_api_keys',
  `delete from api_keys where id in
     (select id from api_keys where revoked_at < :before order by revoked_at limit ${batch} for update skip locked)
   returning 1`,
);

const daysKept = [
  [deleteFrom('rate_limits', 'project_id, key', 'window_ends_at'), 1 / 24],
  [deleteFrom('durable_rate_limits', 'project_id, key', 'window_ends_at'), 1 / 24],
  [deleteFrom('request_ids', 'project_id, caller, method, request_id', 'expires_at'), 1 / 24],
  [deleteFrom('sessions', 'id', 'expires_at'), 30],
  [deleteFrom('api_keys', 'id', 'expires_at'), 30],
  [deleteRevokedKeys, 30],
  [deleteFrom('usage_counters', 'project_id, subject', 'resets_at'), 30],
  [deleteFrom('billing_events', 'project_id, event_id', 'received_at'), 90],
  [deleteFrom('one_time_tokens', 'id', 'expires_at'), 7],
  [deleteFrom('login_attempts', 'id', 'expires_at'), 1],
  [deleteFrom('trusted_devices', 'id', 'expires_at'), 1],
  [deleteFrom('challenges', 'id', 'expires_at'), 1 / 24],
  [deleteFrom('oauth_states', 'id', 'expires_at'), 1 / 24],
  [deleteFrom('database_outages', 'started_at', 'ended_at'), 1],
  [deleteFrom('mail_outbox', 'id', 'ended_at'), 7],
  [deleteFrom('account_invites', 'id', 'expires_at'), 30],
  // A used code has no end here: it says who was invited, and stays.
  [deleteFrom('invite_codes', 'id', 'expires_at', 'used_at is null'), 30],
] as const;

/**
 * Deletes rows that are no longer used, in small batches that wait for no lock, and returns their number. Correctness does
 * not depend on it: expiry is checked by the statement that uses a row. `guestDays` is the longest life of the session of
 * a guest.
 */
export async function sweep(orm: MikroORM, now: Date, guestDays = 0): Promise<number> {
  const autocommit = new Autocommit(orm);
  let deleted = 0;
  for (const [deleteBatch, days] of [...daysKept, [deleteGuests, guestDays + 30] as const]) {
    const before = new Date(now.getTime() - days * dayMs);
    for (let rows = batch; rows === batch; deleted += rows) rows = (await deleteBatch(autocommit, { before })).length;
  }
  return deleted;
}
