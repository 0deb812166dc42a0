import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { keepPartitions } from '../../src/audit/partitions.ts';
import { UnsealedQueue } from '../../src/audit/queue.ts';
import { sealEvents } from '../../src/audit/seal.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { lockLease, sharedWork } from '../../src/database/lease.ts';
import { openOrm } from '../../src/database/orm.ts';
import { transact } from '../../src/database/transaction.ts';
import { Leases, leaseTime } from '../../src/jobs/leases.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { scrape } from '../support/scrape.ts';
import { start } from '../support/start.ts';

const holders = async ({ query }: TestDatabase) =>
  (await query<{ holder: string | null }>(`select distinct holder from leases where name <> 'signing keys'`)).map(
    ({ holder }) => holder,
  );

const statesOf = ({ query }: TestDatabase) =>
  query<{ name: string; holder: string | null; left: number | null }>(
    `select name, holder, extract(epoch from until - clock_timestamp())::float8 * 1000 as left from leases`,
  );

async function openLeases({ url }: TestDatabase) {
  const orm = await openOrm(url, { poolSize: 2 });
  onTestFinished(() => orm.close(true));
  return Object.assign(new Leases(orm, pino({ level: 'silent' })), { orm });
}

test('one of two replicas does the shared work, and both report who holds which lease', async () => {
  const { database, replicas } = await start({ replicas: 2 });
  await expect.poll(() => holders(database), { timeout: 5000 }).toEqual([expect.stringMatching(/ \d+ \w{8}$/)]);
  const held = async () => {
    const scrapes: Record<string, number>[] = [];
    for (const each of replicas) scrapes.push((await scrape(each)).by('lease', 'gatehouse_lease_held'));
    return sharedWork.map((name) => scrapes.map((each) => each[name]).sort());
  };
  await expect.poll(held, { timeout: 5000 }).toEqual(sharedWork.map(() => [0, 1]));
  const [first, second] = [await scrape(replicas[0]!), await scrape(replicas[1]!)];
  const taken = first.value('gatehouse_lease_takeovers_total')! + second.value('gatehouse_lease_takeovers_total')!;
  expect(taken).toBe(sharedWork.length);
  const measuring = [first, second].filter((each) => each.value('gatehouse_audit_unsealed_events') !== undefined);
  expect(measuring, 'the holder counts events').toHaveLength(1);
});

test('after kill -9 of the holder another replica seals events, within the time of the lease', async () => {
  const database = await createDatabase();
  const env = { DATABASE_URL: database.url, MASTER_KEYS: testEnv.MASTER_KEYS, ADMIN_PORT: '0' };
  const first = await serve(env);
  await expect.poll(() => holders(database), { timeout: 5000 }).toEqual([expect.any(String)]);
  const [former] = await holders(database);
  const second = await serve(env);
  await first.end('SIGKILL');
  const killedAt = performance.now();
  await second.clients.json.auth.signUpAnonymous({});
  const seals = () => database.query('select 1 from audit_seals');
  await expect.poll(seals, { timeout: leaseTime + 5000, interval: 100 }).toHaveLength(1);
  expect(performance.now() - killedAt).toBeLessThan(leaseTime + 3000);
  expect(await holders(database)).not.toContain(former);
  await expect.poll(() => second.log().find(({ msg }) => msg === 'a lease was taken')).toMatchObject({ former });
});

test('a replica that stops releases its leases, so that another one takes them at once', async () => {
  const database = await createDatabase();
  const [first, second] = [await openLeases(database), await openLeases(database)];
  expect(await first.keep(await statesOf(database), performance.now())).toBe(true);
  expect(await second.keep(await statesOf(database), performance.now())).toBe(false);
  expect([first.holds('janitor'), second.holds('janitor')]).toEqual([true, false]);
  await first.release();
  expect(await second.keep(await statesOf(database), performance.now())).toBe(true);
  expect([first.holds('janitor'), second.holds('janitor')]).toEqual([false, true]);
});

test('a lease from before the clock of the database was set back is free', async () => {
  const database = await createDatabase();
  const leases = await openLeases(database);
  await database.query(`update leases set holder = 'another', until = clock_timestamp() + interval '1 hour'`);
  expect(await leases.keep(await statesOf(database), performance.now())).toBe(true);
  expect(leases.holds('janitor')).toBe(true);
});

test('twenty processes that see a free lease at once have one holder', async () => {
  const database = await createDatabase();
  const all = await Promise.all(Array.from({ length: 20 }, () => openLeases(database)));
  const states = await statesOf(database);
  await Promise.all(all.map((each) => each.keep([...states], performance.now())));
  for (const name of sharedWork)
    expect(
      all.filter((each) => each.holds(name)),
      name,
    ).toHaveLength(1);
});

test('a process that was paused does not seal with a lease that another one has taken since', async () => {
  const service = await start();
  const { database, config } = service;
  const [paused, next] = [await openLeases(database), await openLeases(database)];
  await database.query('update leases set holder = $1, until = clock_timestamp() + $2', [paused.holder, '10 seconds']);
  await service.guest();
  const keys = new MasterKeys(config.masterKeys);
  const seal = ({ orm, holder }: typeof paused) => sealEvents(orm, keys, service.now(), new UnsealedQueue(orm, holder));
  await database.query('update leases set holder = $1, until = clock_timestamp() + $2', [next.holder, '10 seconds']);
  expect(await seal(paused)).toBe(0);
  expect(await database.query('select 1 from audit_seals')).toEqual([]);
  expect(await seal(next)).toBe(1);
});

test('a process without the lease creates no partitions', async () => {
  const { database, config } = await start();
  const leases = await openLeases(database);
  const keys = new MasterKeys(config.masterKeys);
  const later = new Date(Date.now() + 30 * 86_400_000);
  const partitions = async () =>
    (await database.query(`select 1 from pg_inherits where inhparent = 'audit_events'::regclass`)).length;
  const before = await partitions();
  await keepPartitions(leases.orm, keys, undefined, later, leases.holder);
  expect(await partitions()).toBe(before);
  await database.query(`update leases set holder = $1, until = clock_timestamp() + $2`, [leases.holder, '10 seconds']);
  await keepPartitions(leases.orm, keys, undefined, later, leases.holder);
  expect(await partitions()).toBe(before + 9);
});

test('a rotation of the keys waits for another one, by the row of that work', async () => {
  const { database, clients, pass } = await start();
  pass(400); // the standby key is in every cache
  const release = await database.hold(`select name from leases where name = 'signing keys' for update`);
  const rotated = clients('json').admin.rotateSigningKey({}, asService);
  await database.blocked(1);
  await release();
  expect((await rotated).keys).toHaveLength(3);
});

test('nobody takes the lease of work that is under way, even after its time', async () => {
  const database = await createDatabase();
  const [slow, eager] = [await openLeases(database), await openLeases(database)];
  await slow.keep(await statesOf(database), performance.now());
  await database.query(`update leases set until = clock_timestamp() - interval '1 second'`);
  await transact(slow.orm, async (em) => {
    expect(await lockLease(em, 'audit seals', slow.holder)).toBe(true);
    await eager.keep(await statesOf(database), performance.now());
    expect([eager.holds('audit seals'), eager.holds('janitor')]).toEqual([false, true]);
    await sleep(10);
  });
  await eager.keep(await statesOf(database), performance.now());
  expect(eager.holds('audit seals')).toBe(true);
});
