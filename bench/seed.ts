import { createHash } from 'node:crypto';
import type pg from 'pg';
import { MasterKeys } from '../src/crypto/master-keys.ts';
import { defaultProjectId } from '../src/project/project.ts';
import { hashSessionSecret, mintRefreshToken } from '../src/session/refresh-token.ts';
import { fastestDerive, type HashCost, hashWith } from '../src/user/password-hash.ts';

export const masterKey = createHash('sha256').update('the master key of benchmarks').digest();
export const masterKeys = new MasterKeys([{ id: 'bench', key: masterKey }]);
export const serviceKey = 'ghs_the-service-key-of-benchmarks';
export const password = 'the password of benchmarks';

const secret = createHash('sha256').update('the secret of all sessions').digest().subarray(0, 16);
const perUser = 5;

export function emailOf(user: number): string {
  return `user${user}@example.org`;
}

/** The id of the nth session: spread like UUID v7 keys, in order. */
export function sessionId(n: number): string {
  return `01900000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

function userIdOf(session: number): string {
  const user = Math.floor(session / perUser);
  return `01800000-0000-7000-8000-${user.toString(16).padStart(12, '0')}`;
}

/** The account of the user of the nth session. */
export function accountIdOf(session: number): string {
  return userIdOf(session).replace('01800000', '01850000');
}

export function refreshTokenOf(n: number, generation = 0): string {
  const token = { userId: userIdOf(n), sessionId: sessionId(n), generation, secret };
  return mintRefreshToken(masterKeys, defaultProjectId, token);
}

/** Fills the database with sessions, five per user, in steps that checkpoints can keep up with. */
export async function seed(database: pg.Client, sessions: number, cost: HashCost): Promise<void> {
  const passwordHash = await hashWith(await fastestDerive(), Buffer.from(password), cost);
  const step = 100_000;
  for (let from = 0; from < sessions; from += step) {
    const to = Math.min(sessions, from + step);
    await database.query(users, [Math.floor(from / perUser), Math.ceil(to / perUser) - 1, passwordHash]);
    for (const sql of accounts) await database.query(sql, [Math.floor(from / perUser), Math.ceil(to / perUser) - 1]);
    await database.query(sessionsSql, [from, to - 1, hashSessionSecret(secret)]);
  }
  await database.query('vacuum analyze sessions');
  await database.query('vacuum analyze users');
}

const users = `
  insert into users (id, project_id, email, email_key, email_verified_at, password_hash, app_metadata,
    user_metadata, created_at, updated_at, current_account_id)
  select ('01800000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '${defaultProjectId}', 'user' || n || '@example.org',
    'user' || n || '@example.org', now(), $3, '{}', '{}', now(), now(), ('01850000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
  from generate_series($1::int, $2::int) n on conflict do nothing`;

const accountId = `('01850000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`;
const userId = `('01800000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`;

const accounts = [
  `insert into accounts (id, project_id, name, display_code, owner_id, created_at, updated_at)
   select ${accountId}, '${defaultProjectId}', 'user' || n, lpad(n::text, 8, '0'), ${userId}, now(), now()
   from generate_series($1::int, $2::int) n on conflict do nothing`,
  `insert into memberships (id, project_id, account_id, user_id, role, created_at)
   select ${accountId}, '${defaultProjectId}', ${accountId}, ${userId}, 'owner', now()
   from generate_series($1::int, $2::int) n on conflict do nothing`,
  `insert into subscriptions (account_id, project_id, plan, status, created_at, updated_at)
   select ${accountId}, '${defaultProjectId}', 'pro', 'canceled', now(), now()
   from generate_series($1::int, $2::int) n on conflict do nothing`,
];

const sessionsSql = `
  insert into sessions (id, project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address, created_at,
    refreshed_at, idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count)
  select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '${defaultProjectId}',
    ('01800000-0000-7000-8000-' || lpad(to_hex(n / ${perUser}), 12, '0'))::uuid, 'web', 1,
    '[{"method": "password", "timestamp": 1700000000}]', 0, $3, 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Firefox/130.0',
    '192.0.2.1', now(), now(), 604800, now() + interval '7 days', now() + interval '30 days', now(), 0
  from generate_series($1::int, $2::int) n`;
