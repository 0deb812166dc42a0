import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { nameOf } from '../../src/database/statement.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { bearer, start, type TestService } from '../support/start.ts';

const other = '203.0.113.9';

interface Sent {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Records the prepared statements about a table that the service sends. */
function recordStatements(table = 'sessions'): Map<string, Sent> {
  const sent = new Map<string, Sent>();
  const original = pg.Client.prototype.query;
  onTestFinished(() => void Object.assign(pg.Client.prototype, { query: original }));
  const recording = function (this: pg.Client, config: { text: string; values: unknown[] }, ...rest: unknown[]) {
    const name = typeof config?.text === 'string' ? nameOf(config.text) : undefined;
    if (name && !name.startsWith('insert_') && new RegExp(`\\b${table}\\b`).test(config.text))
      sent.set(name, { name, text: config.text, values: config.values });
    return (original as (...all: unknown[]) => unknown).call(this, config, ...rest);
  };
  Object.assign(pg.Client.prototype, { query: recording });
  return sent;
}

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

/** How the statement reads the table when it is sent again. */
async function scansOf({ database }: TestService, { text, values }: Sent, table = 'sessions') {
  // The rows that a statement inserts get ids of their own.
  const again = values.map((each) =>
    typeof each === 'string' ? each.replace(/"id":"[^"]+"/, `"id":"${randomUUID()}"`) : each,
  );
  await database.query('begin');
  // When the statement was sent, its own session and the later ones did not exist.
  if (again.some((each, i) => each !== values[i]))
    await database.query(`delete from sessions where address <> '${other}'`);
  const [row] = await database.query<{ 'QUERY PLAN': readonly [{ Plan: Plan }] }>(
    `explain (analyze, timing off, format json) ${text}`,
    again,
  );
  await database.query('rollback');
  return nodesOf(row!['QUERY PLAN'][0].Plan)
    .filter((node) => node['Relation Name'] === table && node['Node Type'] !== 'ModifyTable')
    .map((node) => ({
      type: node['Node Type'],
      rows: (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
    }));
}

/** Gives ada sessions that are revoked, and some that have expired. */
async function addEndedSessions({ database }: TestService, sessionId: string): Promise<void> {
  const columns = `project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address, created_at, refreshed_at,
    idle_seconds, expires_at, refresh_window_at, refresh_count`;
  await database.query(`
    set session_replication_role = replica;
    update sessions set address = '${other}', user_agent = 'another program';
    insert into sessions (id, ${columns}, idle_expires_at, revoked_at, revoke_reason)
      select ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, ${columns}, created_at,
        case when n % 3000 > 0 then created_at end, case when n % 3000 > 0 then 'sign_out' end
      from sessions, generate_series(1, 300000) n where id = '${sessionId}';
    set session_replication_role = default;
    analyze sessions`);
}

test('no statement reads more than a few sessions of a user who has 300,000 revoked and expired ones', async () => {
  const service = await start();
  const { auth, sessions, devices } = service.clients('json');
  const { session } = await service.welcome({ ...ada, emailVerified: true });
  await addEndedSessions(service, session.id);
  const sent = recordStatements();
  const elsewhere = { headers: { 'user-agent': 'a program that ada has not used' } };
  const { tokens } = await auth.signIn(ada, elsewhere);
  const { refreshToken } = (await sessions.refresh({ refreshToken: tokens!.refreshToken })).tokens!;
  const refreshed = await sessions.refresh({ refreshToken, includeUser: true });
  const as = bearer(refreshed.tokens!);
  await auth.requestMagicLink({ email: ada.email });
  await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
  await auth.getMe({}, as);
  await sessions.listSessions({}, as);
  await devices.listDevices({}, as);
  await sessions.getSession({ sessionId: session.id }, as);
  await sessions.revokeSession({ sessionId: session.id }, as);
  const newPassword = 'the second difference';
  const changed = await auth.changePassword({ currentPassword: ada.password, newPassword }, as);
  await sessions.signOut({}, bearer(changed.tokens!));
  expect([...sent.keys()]).toEqual(
    expect.arrayContaining([
      'sign_in_look_up',
      'user_sign_in',
      'session_open_and_notify',
      'devices_list',
      'sessions_evict',
      'sessions_list',
      'sessions_revoke',
      'session_renew',
      'session_rotate',
      'session_rotate_with_user',
      'session_states_me',
      'session_states_shown',
    ]),
  );
  for (const statement of sent.values())
    for (const { type, rows } of await scansOf(service, statement)) {
      expect(type, statement.name).not.toBe('Seq Scan');
      expect(rows, statement.name).toBeLessThan(500);
    }
}, 60_000);

test('no statement reads more than a few API keys of a user who has revoked 100,000', async () => {
  const service = await start();
  const { devices, admin } = service.clients('json');
  const { as, user } = await service.welcome({ ...ada, emailVerified: true });
  const { apiKey } = await devices.createApiKey({ name: 'the first' }, as);
  const columns = 'project_id, user_id, prefix, name, scopes, created_at, expires_at, session_epoch';
  await service.database.query(`
    set session_replication_role = replica;
    insert into api_keys (id, hash, revoked_at, login_kind, ${columns})
      select gen_random_uuid(), sha256(n::text::bytea), now(), case when n % 2 = 0 then 'device' end, ${columns}
      from api_keys, generate_series(1, 100000) n where id = '${apiKey!.id}';
    set session_replication_role = default;
    analyze api_keys`);
  const sent = recordStatements('api_keys');
  await devices.createApiKey({ name: 'the second' }, as);
  await devices.listApiKeys({}, as);
  await devices.listDevices({}, as);
  await devices.revokeApiKey({ apiKeyId: apiKey!.id }, as);
  await admin.banUser({ userId: user.id }, asService);
  expect([...sent.keys()]).toEqual(
    expect.arrayContaining(['api_keys_count', 'api_keys_list', 'api_keys_revoke', 'devices_list']),
  );
  for (const statement of sent.values())
    for (const { type, rows } of await scansOf(service, statement, 'api_keys')) {
      expect(type, statement.name).not.toBe('Seq Scan');
      expect(rows, statement.name).toBeLessThan(500);
    }
}, 60_000);
