// @serializable
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { burst, fillTrail, rare, userOf } from '../../bench/events.ts';
import { examine } from '../../bench/explain.ts';
import { Recorder } from '../../bench/recorder.ts';
import type { ListAuditEventsResponse } from '../../gen/gatehouse/v1/admin_pb.ts';
import { type EventFilter, listEvents, type Position } from '../../src/audit/list.ts';
import { openOrm } from '../../src/database/orm.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { ada, asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

const events = 20_000;
const days = 20;

interface Filter {
  readonly userId?: string;
  readonly action?: string;
}

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

const nothing: EventFilter = { userId: undefined, action: undefined, from: undefined, until: undefined };

test('a page reads its own events and at most one more of each day, and reads no day from its beginning', async () => {
  const service = await startWithTrail();
  await service.clients('json').admin.createUser(ada, asService);
  const orm = await openOrm(service.database.url);
  onTestFinished(() => orm.close(true));
  const client = new pg.Client({ connectionString: service.database.url });
  await client.connect();
  onTestFinished(() => client.end());
  const recorder = new Recorder(orm);
  const positions = await service.database.query<Position>(
    `select id, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at from audit_events order by at desc, id desc
     offset ${events / 2 + burst / 2} limit 1`,
  );
  const [{ count }] = (await service.database.query<{ count: number }>(
    `select count(*)::int as count from pg_inherits where inhparent = 'audit_events'::regclass`,
  )) as [{ count: number }];
  const limit = 20;
  for (const after of [undefined, positions[0]])
    for (const filter of [nothing, { ...nothing, userId: userOf(7) }])
      for (const plan of ['custom', 'generic'] as const) {
        await listEvents(recorder, defaultProjectId, filter, { after, limit });
        const { rows, scanned } = await examine(client, recorder.last, plan);
        const what = `${plan} plan, ${after ? 'a later' : 'the first'} page${filter.userId ? ' of a user' : ''}`;
        expect(rows, what).toBeLessThanOrEqual(limit + 1 + count);
        expect(scanned, what).toEqual([]);
      }
});
