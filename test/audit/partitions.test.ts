// @serializable
import { expect, onTestFinished, test } from 'vitest';
import { keepPartitions } from '../../src/audit/partitions.ts';
import { sealEvents } from '../../src/audit/seal.ts';
import { AuditTrail } from '../../src/audit/trail.ts';
import { type Chain, type Head, verifyTrail } from '../../src/audit/verify.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const dayMs = 86_400_000;

async function ormOf({ database }: TestService) {
  const orm = await openOrm(database.url);
  onTestFinished(() => orm.close(true));
  return orm;
}

const keysOf = (service: TestService) => new MasterKeys(service.config.masterKeys);

/** The number of events in each partition. */
async function placesOf({ database }: TestService): Promise<Record<string, number>> {
  const rows = await database.query<{ part: string; count: number }>(
    'select tableoid::regclass::text as part, count(*)::int as count from audit_events group by 1 order by 1',
  );
  return Object.fromEntries(rows.map(({ part, count }) => [part.replaceAll('"', ''), count]));
}

const partOf = (at: Date) => `audit_events_${at.toISOString().slice(0, 10).replaceAll('-', '')}`;
const daysFrom = (at: Date, days: number) => new Date(at.getTime() + days * dayMs);

async function partsOf({ database }: TestService): Promise<string[]> {
  const rows = await database.query<{ part: string }>(
    `select relname as part from pg_inherits join pg_class c on c.oid = inhrelid where inhparent = 'audit_events'::regclass order by 1`,
  );
  return rows.map(({ part }) => part);
}

test.each(wires)('over %s a sign-in is recorded on any day, even one without a partition', async (wire) => {
  const service = await start();
  const { auth } = service.clients(wire);
  const today = service.now();
  await auth.signUpAnonymous({});
  service.pass(3 * 86_400);
  await auth.signUpAnonymous({});
  service.pass(400 * 86_400);
  await auth.signUpAnonymous({});
  service.pass(-1000 * 86_400);
  await auth.signUpAnonymous({});
  expect(await placesOf(service)).toEqual({
    [partOf(today)]: 1,
    [partOf(daysFrom(today, 3))]: 1,
    audit_events_default: 2,
  });
});

test('the partitions of the next week are created in advance, on any day the job runs', async () => {
  const service = await start();
  const [orm, keys] = [await ormOf(service), keysOf(service)];
  const today = service.now();
  const week = (from: Date) => Array.from({ length: 9 }, (_, index) => partOf(daysFrom(from, index - 1)));
  // One more when the tests began on the day before.
  const before = await partsOf(service);
  expect(before).toEqual(expect.arrayContaining([...week(today), 'audit_events_default']));
  expect(before.length).toBeLessThanOrEqual(11);
  const later = daysFrom(today, 30);
  await Promise.all([keepPartitions(orm, keys, undefined, later), keepPartitions(orm, keys, undefined, later)]);
  await keepPartitions(orm, keys, undefined, later);
  expect(await partsOf(service)).toEqual([...before, ...week(later)].sort());
});

test('the trail of a replica seals, creates days in advance and drops those beyond its retention', async () => {
  const service = await start();
  const [orm, keys] = [await ormOf(service), keysOf(service)];
  await service.welcome();
  const trail = new AuditTrail(orm, keys, 7, await holderOf(service));
  await expect.poll(() => trail.seal(service.now()).then(() => trail.backlog.count)).toBe(0);
  const later = daysFrom(service.now(), 20);
  await trail.keepPartitions(later);
  const parts = await partsOf(service);
  expect(parts).toContain(partOf(daysFrom(later, 7)));
  expect(parts).not.toContain(partOf(service.now()));
  const [chain] = await verifyTrail(orm, { keys });
  expect(chain).toMatchObject({ unsealed: 0 });
  expect(chain!.fault).toBeUndefined();
});

test('events in the default partition move to partitions of their days, and the chain stays valid', async () => {
  const service = await start();
  const [orm, keys] = [await ormOf(service), keysOf(service)];
  const { auth } = service.clients('grpc');
  for (const days of [100, 1, -400]) {
    service.pass(days * 86_400);
    await auth.signUpAnonymous({});
  }
  await expect.poll(() => sealEvents(orm, keys, service.now())).toBe(0);
  const before = await service.database.query('select * from audit_events order by at, id');
  const at = before.map((row) => row.at as Date);
  expect(await placesOf(service)).toEqual({ audit_events_default: 3 });
  await keepPartitions(orm, keys, undefined, new Date());
  expect(await placesOf(service)).toEqual(Object.fromEntries(at.map((each) => [partOf(each), 1])));
  expect(await service.database.query('select * from audit_events order by at, id')).toEqual(before);
  expect(await service.database.query('select * from audit_unsealed'), 'none is sealed twice').toEqual([]);
  const [chain] = await verifyTrail(orm, { keys });
  expect(chain).toMatchObject({ events: 3, unsealed: 0 });
  expect(chain!.fault).toBeUndefined();
  service.pass(1000 * 86_400);
  await auth.signUpAnonymous({});
  expect((await placesOf(service)).audit_events_default, 'the default partition exists again').toBe(1);
});

test('no partition allows its rows to be changed, deleted or truncated, whenever it was created', async () => {
  const service = await start();
  const [orm, keys] = [await ormOf(service), keysOf(service)];
  service.pass(40 * 86_400);
  await service.guest();
  await keepPartitions(orm, keys, undefined, service.now());
  for (const part of await partsOf(service))
    for (const sql of [`update ${part} set cause = 'x'`, `delete from ${part}`, `truncate ${part}`])
      await expect(service.database.query(sql), sql).rejects.toMatchObject({ code: '42501' });
});

/** A guest on each of five days, and a seal for each. Returns the days. */
async function fiveDays(service: TestService): Promise<Date[]> {
  const [orm, keys] = [await ormOf(service), keysOf(service)];
  const days: Date[] = [];
  for (let day = 0; day < 5; day++) {
    days.push(service.now());
    await service.clients('json').auth.signUpAnonymous({});
    await sealEvents(orm, keys, service.now());
    service.pass(86_400);
  }
  await expect.poll(() => sealEvents(orm, keys, service.now())).toBe(0);
  await keepPartitions(orm, keys, undefined, days[4]!);
  expect(Object.keys(await placesOf(service)), 'off keeps all').toEqual(days.map(partOf));
  return days;
}

async function verify(service: TestService, head?: Head): Promise<Chain> {
  const heads = new Map(head && [['default', head]]);
  const [chain] = await verifyTrail(await ormOf(service), { keys: keysOf(service), heads });
  return chain!;
}

test('days beyond the retention are dropped whole, and the rest is verified from the anchor', async () => {
  const service = await start();
  const [orm, keys] = [await ormOf(service), keysOf(service)];
  const days = await fiveDays(service);
  const early = await verify(service);
  await keepPartitions(orm, keys, 2, days[4]!);
  expect(Object.keys(await placesOf(service))).toEqual(days.slice(2).map(partOf));
  const seals = await service.database.query<{ sequence: number }>('select sequence from audit_seals order by 1');
  expect(seals.map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
  const kept = await verify(service, early);
  expect(kept).toMatchObject({ events: 3, total: 5, sequence: 5, hash: early.hash });
  expect(kept.fault).toBeUndefined();
  await keepPartitions(orm, keys, 1, new Date(days[4]!.getTime() + 90 * dayMs));
  expect(await placesOf(service)).toEqual({});
  const { fault } = await verify(service, early);
  expect(fault, 'the last seal outlasts its events').toBeUndefined();
  await service.clients('json').auth.signUpAnonymous({});
  await expect.poll(() => sealEvents(orm, keys, service.now())).toBe(0);
  expect(await service.database.query('select sequence from audit_seals order by 1'), 'the chain continues').toEqual([
    { sequence: 5 },
    { sequence: 6 },
  ]);
  expect(await verify(service)).toMatchObject({ total: 6 });
  expect((await verify(service)).fault).toBeUndefined();
});

/** Runs statements with triggers switched off, as an attacker with that privilege would. */
async function tamper({ database }: TestService, ...statements: string[]): Promise<void> {
  await database.query('set session_replication_role = replica');
  for (const each of statements) await database.query(each);
  await database.query('set session_replication_role = origin');
}

const removeDay = (day: Date, sequence: number) => [
  `drop table ${partOf(day)}`,
  `delete from audit_seals where sequence = ${sequence}`,
];

test('removing the beginning of a trail whose days were never dropped is detected', async () => {
  const service = await start();
  const [first, second] = await fiveDays(service);
  await tamper(service, ...removeDay(first!, 1), ...removeDay(second!, 2));
  expect((await verify(service)).fault).toBe('seal 1 is missing');
});

test.each<[what: string, sql: (days: Date[]) => string[], fault: RegExp]>([
  ['one more day is removed', ([, , third]) => removeDay(third!, 3), /^seal 3 is missing$/],
  ['one more day loses its events', ([, , third]) => [`drop table ${partOf(third!)}`], /\(seal 3\) was removed/],
  ['all seals are removed', () => ['delete from audit_seals'], /^seal 3 is missing$/],
  ['the anchor is removed', () => ['delete from audit_anchors'], /^seal 1 is missing$/],
  [
    'the anchor is moved to a later seal',
    ([, , third]) => [
      `update audit_anchors a set sequence = s.sequence, hash = s.hash, total = s.total from audit_seals s where s.sequence = 3`,
      ...removeDay(third!, 3),
    ],
    /^the anchor of the dropped days was altered$/,
  ],
  [
    'the anchor gets a later day',
    ([, , third]) => [`update audit_anchors set day = day + 1`, `drop table ${partOf(third!)}`],
    /^the anchor of the dropped days was altered$/,
  ],
  [
    'the anchor gets another total',
    () => ['update audit_anchors set total = total + 1'],
    /^the anchor .* was altered$/,
  ],
  [
    'the anchor has an unknown version',
    () => ['update audit_anchors set version = 9'],
    /^the anchor has version 9, which this release cannot verify$/,
  ],
  [
    'the anchor has an unknown master key',
    () => [`update audit_anchors set key_id = 'k9'`],
    /^the anchor was created with master key 'k9', which is not among MASTER_KEYS$/,
  ],
])('after days were dropped, verification detects that %s', async (_, sql, fault) => {
  const service = await start();
  const days = await fiveDays(service);
  await keepPartitions(await ormOf(service), keysOf(service), 2, days[4]!);
  expect((await verify(service)).fault).toBeUndefined();
  await tamper(service, ...sql(days));
  expect((await verify(service)).fault).toMatch(fault);
});

test('a kept head whose day was dropped cannot be compared, and the fault says so', async () => {
  const service = await start();
  const days = await fiveDays(service);
  const [seal] = await service.database.query<{ hash: Buffer }>('select hash from audit_seals where sequence = 1');
  const head = { sequence: 1, hash: seal!.hash.toString('hex') };
  expect((await verify(service, head)).fault).toBeUndefined();
  await keepPartitions(await ormOf(service), keysOf(service), 2, days[4]!);
  expect((await verify(service, head)).fault).toBe(
    'seal 1 of the kept head was dropped with its day: keep a newer head',
  );
});

test('changing partitions gives up soon, so that sign-ins do not wait behind a long read', async () => {
  const service = await start();
  const [orm, keys] = [await ormOf(service), keysOf(service)];
  service.pass(40 * 86_400);
  await service.guest();
  const release = await service.database.hold('select count(*) from audit_events');
  await expect(keepPartitions(orm, keys, undefined, service.now())).rejects.toThrow();
  await service.guest();
  await release();
  await keepPartitions(orm, keys, undefined, service.now());
  expect((await placesOf(service)).audit_events_default).toBeUndefined();
  expect((await refusalOf(service.clients('grpc').auth.getMe({}))).reason).toBe('AUTHENTICATION_REQUIRED');
});

/** The holder of the leases of the trail: the replica that runs. */
async function holderOf({ database }: TestService): Promise<string> {
  const find = () =>
    database.query<{ holder: string }>(
      `select holder from leases where name in ('audit seals', 'audit days') and holder is not null`,
    );
  await expect.poll(async () => (await find()).length, { timeout: 10_000 }).toBe(2);
  return (await find())[0]!.holder;
}
