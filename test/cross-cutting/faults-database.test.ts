import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';
import { Journal } from './journal.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());

/** Two replicas on the cluster of this file, under a load of eight writers. */
async function startUnderLoad() {
  const name = await cluster.createDatabase();
  const service = await start({
    replicas: 2,
    databaseUrl: () => cluster.url(name),
    env: { AUTO_CONFIRM_EMAIL: 'on', DATABASE_POOL_SIZE: '5', REFRESH_REUSE_INTERVAL: '60' },
    skipChecks: ['secrets', 'orphans'], // they read the database of the common cluster
  });
  const journal = new Journal();
  for (let i = 0; i < 8; i++) journal.write(service.clients(i % 4 < 2 ? 'grpc' : 'json', i));
  await journal.progress(20);
  const probe = async (path: string) =>
    (await fetch(`http://127.0.0.1:${service.replicas[0]!.httpPort}${path}`)).status;
  const query = <Row extends object>(sql: string) => cluster.query<Row & Record<string, unknown>>(name, sql);
  return { ...service, journal, probe, query, name };
}

type Loaded = Awaited<ReturnType<typeof startUnderLoad>>;

const shortly = { timeout: 3000, interval: 20 };

/** While the database is down no call hangs, and the readiness probe fails. */
async function expectOutage({ probe, clients }: Loaded): Promise<void> {
  await expect.poll(() => probe('/readyz'), shortly).toBe(503);
  expect(await probe('/livez')).toBe(200);
  expect(await probe('/.well-known/jwks.json')).toBe(200);
  for (const wire of ['grpc', 'json'] as const) {
    const asked = performance.now();
    const refusal = await refusalOf(
      clients(wire).auth.register({ email: 'x@example.org', password: 'nobody will know' }),
    );
    expect(refusal).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryAfter: 1 });
    expect(performance.now() - asked).toBeLessThan(1500);
  }
}

/** Soon after the database is back, calls succeed and the readiness probe passes. */
async function expectRecovery({ probe, journal }: Loaded): Promise<void> {
  const up = performance.now();
  await journal.progress(8);
  await expect.poll(() => probe('/readyz'), shortly).toBe(200);
  // Five seconds on a machine with nothing else to do.
  expect(performance.now() - up).toBeLessThan(10_000);
}

/** As many concurrent calls as the pool has connections reach the database: the faults have cost no connection. */
async function expectWholePool({ clients, replicas, query, name }: Loaded): Promise<void> {
  const release = await cluster.hold(name, 'lock table users');
  const guests = replicas.flatMap((_, i) =>
    Array.from({ length: 5 }, () => clients('grpc', i).auth.signUpAnonymous({})),
  );
  const settled = Promise.allSettled(guests);
  const blocked = `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await expect
    .poll(async () => (await query<{ n: number }>(blocked))[0]!.n, { ...shortly, message: 'in use' })
    .toBe(10);
  await release();
  await settled;
}

async function expectLedger({ journal, query }: Loaded): Promise<void> {
  await query(`delete from sessions where user_id in (select id from users where is_anonymous)`);
  await query(`delete from users where is_anonymous`);
  await journal.check(query);
}

test('during three restarts of PostgreSQL under load calls fail fast, then succeed, and acknowledged writes are kept', async () => {
  const service = await startUnderLoad();
  for (let round = 0; round < 3; round++) {
    await cluster.stop();
    await expectOutage(service);
    await cluster.start();
    await expectRecovery(service);
  }
  await service.journal.stop();
  await expectWholePool(service);
  await expectLedger(service);
  const slowest = Math.max(...service.journal.entries.map(({ took }) => took));
  expect(slowest, 'no call hung').toBeLessThan(3000);
}, 60_000);

test('acknowledged writes survive a killed PostgreSQL', async () => {
  const service = await startUnderLoad();
  await cluster.kill();
  await expectOutage(service);
  await cluster.start();
  await expectRecovery(service);
  await service.journal.stop();
  await expectWholePool(service);
  await expectLedger(service);
}, 30_000);

test('after a killed backend, which ends all connections, the service recovers by itself', async () => {
  const service = await startUnderLoad();
  for (let round = 0; round < 3; round++) {
    const [row] = await service.query<{ pid: number }>(
      `select pid from pg_stat_activity where application_name = 'gatehouse' and datname = current_database() limit 1`,
    );
    process.kill(row!.pid, 'SIGKILL');
    await sleep(100);
    await expectRecovery(service);
  }
  await service.journal.stop();
  await expectWholePool(service);
  await expectLedger(service);
}, 30_000);

test('while no connection is to be had calls fail fast, and later they succeed', async () => {
  const name = await cluster.createDatabase();
  const role = `role_${name}`;
  const govern = (sql: string) => cluster.query(name, sql);
  await govern(`create role ${role} login; grant all on all tables in schema public to ${role}`);
  const service = await start({
    databaseUrl: () => cluster.url(name).replace('postgres@', `${role}@`),
    skipChecks: ['secrets', 'orphans'],
  });
  await service.guest();
  await govern(`alter role ${role} connection limit 0`);
  await govern(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`);
  await sleep(50);
  const asked = performance.now();
  expect((await refusalOf(service.guest())).reason).toBe('DATABASE_UNAVAILABLE');
  expect(performance.now() - asked).toBeLessThan(1500);
  await govern(`alter role ${role} connection limit -1`);
  await service.guest();
});
