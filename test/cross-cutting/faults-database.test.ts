import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { clusterPassword } from '../support/cluster-password.ts';
import { refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';
import { expectLedger, expectOutage, expectRecovery, expectWholePool, startUnderLoad } from './loaded-service.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());

test('during three restarts of PostgreSQL under load calls fail fast, then succeed, and acknowledged writes are kept', async () => {
  const service = await startUnderLoad(cluster);
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
  const service = await startUnderLoad(cluster);
  await cluster.kill();
  await expectOutage(service);
  await cluster.start();
  await expectRecovery(service);
  await service.journal.stop();
  await expectWholePool(service);
  await expectLedger(service);
}, 30_000);

test('after a killed backend, which ends all connections, the service recovers by itself', async () => {
  const service = await startUnderLoad(cluster);
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
  await govern(
    `create role ${role} login password '${clusterPassword}'; grant all on all tables in schema public to ${role}`,
  );
  const service = await start({
    databaseUrl: () => cluster.url(name).replace('//postgres:', `//${role}:`),
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
