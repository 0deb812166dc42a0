// @serializable
import { randomUUID } from 'node:crypto';
import type { MikroORM } from '@mikro-orm/postgresql';
import { expect, onTestFinished, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { openOrm } from '../../src/database/orm.ts';
import { sweep } from '../../src/jobs/janitor.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';

const project = `'00000000-0000-7000-8000-000000000001'`;
const day = 86_400_000;

async function open(database: TestDatabase): Promise<MikroORM & { deletions: () => number }> {
  const proxy = await startProxy();
  const orm = await openOrm(proxy.url(database));
  onTestFinished(() => orm.close(true));
  return Object.assign(orm, {
    deletions: () => proxy.statements.filter(({ text }) => text.startsWith('delete')).length,
  });
}

/** Inserts limits and sessions that ended `ago`. */
async function litter({ query }: TestDatabase, count: number, ago: string): Promise<void> {
  for (const table of ['rate_limits', 'durable_rate_limits'])
    await query(
      `insert into ${table} select ${project}, gen_random_uuid(), now() - interval '${ago}', 1 from generate_series(1, ${count})`,
    );
  await query(`
    insert into users (id, project_id, app_metadata, user_metadata, created_at, updated_at)
    values ('019a0000-0000-7000-8000-000000000000', ${project}, '{}', '{}', now(), now()) on conflict do nothing`);
  await query(`
    insert into sessions (id, project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address, created_at,
        refreshed_at, idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count)
      select gen_random_uuid(), ${project}, '019a0000-0000-7000-8000-000000000000', 'web', 1, '[]', 0, '', '', '', now(), now(),
        1, now() - interval '${ago}', now() - interval '${ago}', now(), 0
      from generate_series(1, ${count})`);
}

async function left({ query }: TestDatabase) {
  const [row] = await query<{ limits: number; durable: number; sessions: number }>(
    `select (select count(*)::int from rate_limits) as limits, (select count(*)::int from durable_rate_limits) as durable,
       (select count(*)::int from sessions) as sessions`,
  );
  return row!;
}

test('the janitor deletes only rows that ended long ago, at most five hundred at a time', async () => {
  const database = await createDatabase();
  await litter(database, 1200, '31 days');
  await litter(database, 10, '29 days');
  await litter(database, 10, '30 minutes');
  await litter(database, 10, '-1 hour');
  const orm = await open(database);
  expect(await sweep(orm, new Date())).toBe(1200 + 10 + 1200 + 10 + 1200);
  expect(await left(database)).toEqual({ limits: 20, durable: 20, sessions: 30 });
  expect(orm.deletions(), '500, 500 and 210, twice; 500, 500 and 200; fifteen statements without any').toBe(
    3 + 3 + 3 + 15,
  );
  expect(await sweep(orm, new Date())).toBe(0);
});

test('the janitor deletes the ids of requests an hour after they expired', async () => {
  const service = await start();
  const { admin } = service.clients('grpc');
  const orm = await open(service.database);
  await admin.createInviteCode({ requestId: randomUUID() }, asService);
  const swept = async (seconds: number) => {
    service.pass(seconds);
    await sweep(orm, service.now());
    return 1 - (await service.database.query('select 1 from request_ids')).length;
  };
  expect(await swept(24.9 * 3600)).toBe(0);
  expect(await swept(0.2 * 3600)).toBe(1);
});

test('the janitor deletes guests without sessions, and invitations and unused codes that expired long ago', async () => {
  const service = await start();
  const { admin, accounts } = service.clients('grpc');
  const orm = await open(service.database);
  const owner = await service.welcome({ ...ada, emailVerified: true });
  const { user: guest } = await service.guest();
  const accountId = owner.account.id;
  await accounts.createAccountInvite({ accountId, email: 'a@example.org', role: AccountRole.MEMBER }, owner.as);
  await admin.createInviteCode({ lifetime: { seconds: 60n } }, asService);
  const { inviteCode: lasting } = await admin.createInviteCode({}, asService);
  const users = async () => (await service.database.query('select id from users order by id')).map(({ id }) => id);
  const rows = async (table: string) => (await service.database.query(`select 1 from ${table}`)).length;
  const before = await users();
  const queued = () => service.database.query(`select id from mail_outbox where state = 'queued'`);
  await expect.poll(queued, { message: 'the mails leave before the clock jumps', timeout: 5000 }).toEqual([]);
  for (const days of [20, 20]) {
    service.pass((days * day) / 1000);
    await sweep(orm, service.now(), 30);
  }
  expect(await users(), 'the session of the guest is still kept').toEqual(before);
  expect([await rows('account_invites'), await rows('invite_codes')]).toEqual([0, 1]);
  service.pass((30 * day) / 1000);
  await sweep(orm, service.now(), 90);
  expect(await users(), 'the guest could have a session for ninety days').toEqual(before);
  await sweep(orm, service.now(), 30);
  expect(await users()).toEqual(before.filter((id) => id !== guest.id));
  const { inviteCodes } = await admin.listInviteCodes({}, asService);
  expect(inviteCodes.map(({ id }) => id)).toEqual([lasting!.id]);
});

test('the janitor waits for no lock: it skips locked rows until its next run', async () => {
  const database = await createDatabase();
  await litter(database, 20, '31 days');
  const orm = await open(database);
  const release = await database.hold('select 1 from sessions order by id limit 5 for update');
  expect(await sweep(orm, new Date())).toBe(55);
  expect(await left(database)).toEqual({ limits: 0, durable: 0, sessions: 5 });
  await release();
  expect(await sweep(orm, new Date())).toBe(5);
});

test('the janitors of several replicas share the work', async () => {
  const database = await createDatabase();
  await litter(database, 2000, '31 days');
  const orms = await Promise.all([open(database), open(database), open(database)]);
  const removed = await Promise.all(orms.map((orm) => sweep(orm, new Date())));
  expect(removed.reduce((sum, each) => sum + each)).toBe(6000);
  expect(await left(database)).toEqual({ limits: 0, durable: 0, sessions: 0 });
});

test('an expired session is refused everywhere, whether its row still exists or not', async () => {
  const service = await start();
  const { tokens, session, as } = await service.welcome(ada);
  const { sessions, auth } = service.clients('grpc');
  const orm = await open(service.database);
  const isKept = async () =>
    (await service.database.query('select 1 from sessions where id = $1', [session.id])).length === 1;
  const expectRefused = async (reason: string) => {
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe(reason);
    expect((await refusalOf(auth.getMe({}, as))).reason).toMatch(/^(TOKEN|SESSION)_EXPIRED$/);
    expect((await sessions.introspect({ token: tokens.accessToken }, asService)).active).toBe(false);
    const now = await service.signIn(ada);
    const listed = (await sessions.listSessions({}, now.as)).sessions.map(({ id }) => id);
    expect(listed).toContain(now.session.id);
    expect(listed).not.toContain(session.id);
    const seen = await refusalOf(sessions.getSession({ sessionId: session.id }, now.as));
    expect(seen.reason).toBe('SESSION_NOT_FOUND');
  };
  await sweep(orm, service.now());
  await sessions.getSession({ sessionId: session.id }, as);
  service.pass((7 * day) / 1000 + 1);
  await sweep(orm, service.now());
  expect(await isKept()).toBe(true);
  await expectRefused('SESSION_EXPIRED');
  service.pass((60 * day) / 1000);
  await sweep(orm, service.now());
  expect(await isKept()).toBe(false);
  await expectRefused('REFRESH_TOKEN_INVALID');
});
