// @serializable
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { burst, fillTrail, rare, userOf } from '../../bench/events.ts';
import { examineAll } from '../../bench/explain.ts';
import { Recorder } from '../../bench/recorder.ts';
import {
  AuditResult,
  type ListAuditEventsRequestSchema,
  type ListAuditEventsResponse,
} from '../../gen/gatehouse/v1/admin_pb.ts';
import { listEvents, type Position } from '../../src/audit/list.ts';
import { openOrm } from '../../src/database/orm.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

const events = 20_000;
const days = 20;
const dayMs = 86_400_000;

type Filter = Omit<MessageInitShape<typeof ListAuditEventsRequestSchema>, '$typeName' | 'pageSize' | 'pageToken'>;

async function startWithTrail() {
  const service = await start({ replicas: 2 });
  await fillTrail(service.database.query, events, days);
  return service;
}

/** Reads all pages, from the replicas in turn, and runs `between` after each page. */
async function pagesOf(service: TestService, wire: Wire, filter: Filter, pageSize: number, between = async () => {}) {
  const pages: ListAuditEventsResponse[] = [];
  for (let pageToken = ''; ; ) {
    const { admin } = service.clients(wire, pages.length);
    const page = await admin.listAuditEvents({ ...filter, pageSize, pageToken }, asService);
    pages.push(page);
    pageToken = page.nextPageToken;
    if (!pageToken) return pages;
    await between();
  }
}

const idsOf = (pages: readonly ListAuditEventsResponse[]) => pages.flatMap((page) => page.events.map(({ id }) => id));

async function storedIds({ database }: TestService, where = 'true'): Promise<string[]> {
  const rows = await database.query<{ id: string }>(
    `select id from audit_events where ${where} order by at desc, id desc`,
  );
  return rows.map(({ id }) => id);
}

test.each(wires)(
  'over %s every event of a long trail is on exactly one page, whatever is added meanwhile',
  async (wire) => {
    const service = await startWithTrail();
    const before = await storedIds(service);
    expect(before).toHaveLength(events);
    const pages = await pagesOf(service, wire, {}, 500, () => service.guest().then(() => {}));
    expect(idsOf(pages)).toEqual(before);
    expect(pages.length).toBeLessThanOrEqual(events / 500 + 1);
    expect((await storedIds(service)).length, 'events were added meanwhile').toBeGreaterThan(events);
  },
);

test.each(wires)('over %s filters by user, by action and by both find all events', async (wire) => {
  const service = await startWithTrail();
  const userId = userOf(7);
  const ofUser = await pagesOf(service, wire, { userId }, 7);
  expect(idsOf(ofUser)).toEqual(await storedIds(service, `user_id = '${userId}'`));
  const { action } = rare;
  const ofAction = await pagesOf(service, wire, { action }, 3);
  expect(idsOf(ofAction)).toEqual(await storedIds(service, `action = '${action}'`));
  expect(idsOf(ofAction)).toHaveLength(events / rare.oneIn);
  const ofBoth = await pagesOf(service, wire, { userId, action }, 1);
  expect(idsOf(ofBoth)).toEqual(await storedIds(service, `user_id = '${userId}' and action = '${action}'`));
  expect(idsOf(await pagesOf(service, wire, { userId, action: 'auth.logout' }, 10))).toEqual([]);
});

test.each(wires)('over %s a token with a forged position is refused', async (wire) => {
  const service = await start();
  const { admin } = service.clients(wire);
  await service.welcome();
  const { nextPageToken } = await admin.listAuditEvents({ pageSize: 1 }, asService);
  const macBytes = 32;
  const bytes = Buffer.from(nextPageToken, 'base64url');
  const [at, id] = bytes.toString('utf8', macBytes).split(' ');
  const forged = (...position: string[]) => {
    const forgery = Buffer.concat([bytes.subarray(0, macBytes), Buffer.from(position.join(' '))]);
    return admin.listAuditEvents({ pageSize: 1, pageToken: forgery.toString('base64url') }, asService);
  };
  expect((await forged(at!, id!)).events).toHaveLength(1);
  const days = ['2026-13-01', '2026-02-30', '2026-00-00', '0000-01-01', '9999-99-99'];
  const times = [...days.map((day) => `${day}T00:00:00.000Z`), '2026-01-01T24:00:00.000Z', '2026-01-01T00:00:61.000Z'];
  for (const time of times) expect((await refusalOf(forged(time, id!))).reason, time).toBe('PAGE_TOKEN_INVALID');
  for (const no of ['', 'ffffffff', `${id}0`])
    expect((await refusalOf(forged(at!, no))).reason, no).toBe('PAGE_TOKEN_INVALID');
});

test('a page reads its own events and at most one more of each day, and reads no day from its beginning', async () => {
  const service = await startWithTrail();
  await service.clients('json').admin.createUser(ada, asService);
  const orm = await openOrm(service.database.url);
  onTestFinished(() => orm.close(true));
  const client = new pg.Client({ connectionString: service.database.url });
  await client.connect();
  onTestFinished(() => client.end());
  const recorder = new Recorder(orm);
  const [middle] = await service.database.query<Position>(
    `select id, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at from audit_events order by at desc, id desc
     offset ${events / 2 + burst / 2} limit 1`,
  );
  const [{ count }] = (await service.database.query<{ count: number }>(
    `select count(*)::int as count from pg_inherits where inhparent = 'audit_events'::regclass`,
  )) as [{ count: number }];
  const [limit, now] = [20, service.now()];
  for (const after of [undefined, middle])
    for (const filter of [{}, { userId: userOf(7) }])
      for (const plan of ['custom', 'generic'] as const) {
        await listEvents(recorder, defaultProjectId, filter, { after, limit, now });
        const { rows, scanned, opened } = await examineAll(client, recorder.take(), plan);
        const what = `${plan} plan, ${after ? 'a later' : 'the first'} page${'userId' in filter ? ' of a user' : ''}`;
        expect(rows, what).toBeLessThanOrEqual(limit + 1 + count);
        expect(scanned, what).toEqual([]);
        if ('userId' in filter) continue;
        const since = new Date((after ? new Date(after.at) : now).getTime() - dayMs).toISOString();
        const earliest = `audit_events_${since.slice(0, 10).replaceAll('-', '')}`;
        expect(
          opened.filter((each) => each < earliest),
          `${what}: no partition of an earlier day is opened`,
        ).toEqual([]);
      }
});

test.each(wires)('over %s the pages of a sparse trail have all events, of any day', async (wire) => {
  const service = await start({ replicas: 2 });
  const today = service.now();
  for (const day of [-3, -30, -300, -700, 30, 0, -1]) {
    const passed = Math.round((service.now().getTime() - today.getTime()) / 1000);
    service.pass(day * 86_400 - passed);
    for (let guest = 0; guest < 3; guest++) await service.guest();
  }
  service.pass(86_400);
  const stored = await storedIds(service);
  expect(stored).toHaveLength(21);
  for (const pageSize of [1, 2, 4, 20, 500])
    expect(idsOf(await pagesOf(service, wire, {}, pageSize)), `pages of ${pageSize}`).toEqual(stored);
  const action = 'auth.sign_up_anonymous';
  expect(idsOf(await pagesOf(service, wire, { action }, 2))).toEqual(stored);
  expect(await pagesOf(service, wire, { action: 'auth.logout' }, 2)).toMatchObject([{ events: [] }]);
  const [startTime, endTime] = [-100, -2].map((days) => timestampFromDate(new Date(today.getTime() + days * dayMs)));
  expect(idsOf(await pagesOf(service, wire, { startTime: startTime! }, 2))).toEqual(stored.slice(0, 15));
  expect(idsOf(await pagesOf(service, wire, { endTime: endTime! }, 2))).toEqual(stored.slice(9));
  expect(idsOf(await pagesOf(service, wire, { startTime: startTime!, endTime: endTime! }, 2))).toEqual(
    stored.slice(9, 15),
  );
});

test.each(wires)(
  'over %s filters by actor, session, address, result and entity find exactly their events',
  async (wire) => {
    const service = await start({ replicas: 2, env: { TRUSTED_PROXY_HOPS: '1' } });
    const { auth, admin } = service.clients(wire);
    const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
    const { user } = await admin.createUser(ada, asService);
    await admin.createUser(bob, asService);
    const first = await auth.signIn(ada, from('203.0.113.7'));
    const second = await auth.signIn(ada, from('2001:db8::7'));
    await refusalOf(auth.signIn({ ...ada, password: 'a wrong password' }, from('2001:db8::7')));
    await refusalOf(auth.signIn({ ...ada, email: 'nobody@example.org' }, from('203.0.113.8')));
    const list = async (filter: Filter) => idsOf(await pagesOf(service, wire, filter, 2));
    const [userId, sessionId] = [user!.id, first.session!.id];
    const { SUCCESS, FAILURE } = AuditResult;
    const cases: [filter: Filter, where: string, count: number][] = [
      [{ actorId: userId }, `actor_id = '${userId}'`, 2],
      [{ actorId: 'backend' }, `actor_id = 'backend'`, 2],
      [{ sessionId }, `session_id = '${sessionId}'`, 1],
      [{ sessionId: sessionId.toUpperCase() }, `session_id = '${sessionId}'`, 1],
      [{ sessionId: second.session!.id }, `session_id = '${second.session!.id}'`, 1],
      [{ address: '203.0.113.7' }, `address = '203.0.113.7'`, 1],
      [{ address: '::ffff:203.0.113.7' }, `address = '203.0.113.7'`, 1],
      [{ address: '2001:0DB8:0:0::7' }, `address = '2001:db8::7'`, 2],
      [{ result: SUCCESS }, `result = 'SUCCESS'`, 4],
      [{ result: FAILURE }, `result = 'FAILURE'`, 2],
      [{ result: FAILURE, userId }, `result = 'FAILURE' and user_id = '${userId}'`, 1],
      [{ result: FAILURE, address: '203.0.113.8' }, `cause = 'unknown_email'`, 1],
      [{ entityType: 'user', entityId: userId }, `user_id = '${userId}'`, 4],
      [{ entityId: userId, action: 'user.create' }, `user_id = '${userId}' and action = 'user.create'`, 1],
      [{ entityType: 'account' }, 'false', 0],
      [{ actorId: userId, result: FAILURE }, 'false', 0],
    ];
    for (const [filter, where, count] of cases) {
      const stored = await storedIds(service, where);
      expect(stored, where).toHaveLength(count);
      expect(await list(filter), JSON.stringify(filter)).toEqual(stored);
    }
    const { nextPageToken: pageToken } = await admin.listAuditEvents({ pageSize: 1 }, asService);
    for (const [filter] of cases)
      expect((await refusalOf(admin.listAuditEvents({ ...filter, pageToken }, asService))).reason).toBe(
        'PAGE_TOKEN_INVALID',
      );
    const invalid: Filter[] = [
      { sessionId: 'none' },
      { address: 'localhost' },
      { result: 9 as AuditResult },
      { actorId: 'a'.repeat(65) },
    ];
    for (const filter of invalid)
      expect((await refusalOf(admin.listAuditEvents(filter, asService))).reason, JSON.stringify(filter)).toBe(
        'INVALID_ARGUMENT',
      );
  },
);
