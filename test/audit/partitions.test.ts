// @serializable
import { expect, onTestFinished, test } from 'vitest';
import { keepPartitions, oldestKept } from '../../src/audit/partitions.ts';
import { sealEvents } from '../../src/audit/seal.ts';
import { verifyTrail } from '../../src/audit/verify.ts';
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
  const orm = await ormOf(service);
  const today = service.now();
  const week = (from: Date) => Array.from({ length: 9 }, (_, index) => partOf(daysFrom(from, index - 1)));
  // One more when the tests began on the day before.
  const before = await partsOf(service);
  expect(before).toEqual(expect.arrayContaining([...week(today), 'audit_events_default']));
  expect(before.length).toBeLessThanOrEqual(11);
  const later = daysFrom(today, 30);
  await Promise.all([keepPartitions(orm, undefined, later), keepPartitions(orm, undefined, later)]);
  await keepPartitions(orm, undefined, later);
  expect(await partsOf(service)).toEqual([...before, ...week(later)].sort());
});

test('events in the default partition move to partitions of their days, and the chain stays valid', async () => {
  const service = await start();
  const orm = await ormOf(service);
  const keys = new MasterKeys(service.config.masterKeys);
  const { auth } = service.clients('grpc');
  for (const days of [100, 1, -400]) {
    service.pass(days * 86_400);
    await auth.signUpAnonymous({});
  }
  await expect.poll(() => sealEvents(orm, keys, service.now())).toBe(0);
  const before = await service.database.query('select * from audit_events order by at, id');
  const at = before.map((row) => row.at as Date);
  expect(await placesOf(service)).toEqual({ audit_events_default: 3 });
  await keepPartitions(orm, undefined, new Date());
  expect(await placesOf(service)).toEqual(Object.fromEntries(at.map((each) => [partOf(each), 1])));
  expect(await service.database.query('select * from audit_events order by at, id')).toEqual(before);
  expect(await service.database.query('select * from audit_unsealed'), 'none is sealed twice').toEqual([]);
  const [chain] = await verifyTrail(orm, { keys, oldestKept: undefined, progress: () => {} });
  expect(chain).toMatchObject({ events: 3, unsealed: 0 });
  expect(chain!.fault).toBeUndefined();
  service.pass(1000 * 86_400);
  await auth.signUpAnonymous({});
  expect((await placesOf(service)).audit_events_default, 'the default partition exists again').toBe(1);
});

test('no partition allows its rows to be changed, deleted or truncated, whenever it was created', async () => {
  const service = await start();
  const orm = await ormOf(service);
  service.pass(40 * 86_400);
  await service.guest();
  await keepPartitions(orm, undefined, service.now());
  for (const part of await partsOf(service))
    for (const sql of [`update ${part} set cause = 'x'`, `delete from ${part}`, `truncate ${part}`])
      await expect(service.database.query(sql), sql).rejects.toMatchObject({ code: '42501' });
});

test('days beyond the retention are dropped whole, and the rest is verified from the first seal that is kept', async () => {
  const service = await start();
  const orm = await ormOf(service);
  const keys = new MasterKeys(service.config.masterKeys);
  const { auth } = service.clients('json');
  const days: Date[] = [];
  for (let day = 0; day < 5; day++) {
    days.push(service.now());
    await auth.signUpAnonymous({});
    await sealEvents(orm, keys, service.now());
    service.pass(86_400);
  }
  await expect.poll(() => sealEvents(orm, keys, service.now())).toBe(0);
  await keepPartitions(orm, undefined, days[4]!);
  expect(Object.keys(await placesOf(service)), 'off keeps all').toEqual(days.map(partOf));
  await keepPartitions(orm, 2, days[4]!);
  expect(Object.keys(await placesOf(service))).toEqual(days.slice(2).map(partOf));
  const seals = await service.database.query<{ sequence: number }>('select sequence from audit_seals order by 1');
  expect(seals.map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
  const verify = async (retention: number | undefined) => {
    const kept = oldestKept(retention, days[4]!);
    return (await verifyTrail(orm, { keys, oldestKept: kept, progress: () => {} }))[0]!;
  };
  expect(await verify(2)).toMatchObject({ events: 3, sequence: 5 });
  expect((await verify(2)).fault).toBeUndefined();
  expect((await verify(undefined)).fault, 'without a retention').toBe('seal 1 is missing');
  await keepPartitions(orm, 1, new Date(days[4]!.getTime() + 90 * dayMs));
  expect(await placesOf(service)).toEqual({});
  await auth.signUpAnonymous({});
  await expect.poll(() => sealEvents(orm, keys, service.now())).toBe(0);
  expect(await service.database.query('select sequence from audit_seals order by 1'), 'the chain continues').toEqual([
    { sequence: 5 },
    { sequence: 6 },
  ]);
});

test('changing partitions gives up soon, so that sign-ins do not wait behind a long read', async () => {
  const service = await start();
  const orm = await ormOf(service);
  service.pass(40 * 86_400);
  await service.guest();
  const release = await service.database.hold('select count(*) from audit_events');
  await expect(keepPartitions(orm, undefined, service.now())).rejects.toThrow();
  await service.guest();
  await release();
  await keepPartitions(orm, undefined, service.now());
  expect((await placesOf(service)).audit_events_default).toBeUndefined();
  expect((await refusalOf(service.clients('grpc').auth.getMe({}))).reason).toBe('AUTHENTICATION_REQUIRED');
});
