import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { randomFrom } from '../support/random.ts';
import {
  expectLedger,
  expectOutage,
  expectRecovery,
  expectWholePool,
  type Loaded,
  startUnderLoad,
} from './loaded-service.ts';

/** `SEED=7 npm run test:long` repeats a run. */
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const rounds = 30;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());

const faults: Readonly<Record<string, (service: Loaded) => Promise<void>>> = {
  async 'a restart'(service) {
    await cluster.stop();
    await expectOutage(service);
    await cluster.start();
  },
  async 'a killed postmaster'(service) {
    await cluster.kill();
    await expectOutage(service);
    await cluster.start();
  },
  async 'a killed backend'({ query }) {
    const [row] = await query<{ pid: number }>(
      `select pid from pg_stat_activity where application_name = 'gatehouse' and datname = current_database() limit 1`,
    );
    if (row) process.kill(row.pid, 'SIGKILL');
    await sleep(100);
  },
  async 'terminated connections'({ query }) {
    await query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gatehouse' and datname = current_database()`,
    );
  },
  async 'a locked table'({ name }) {
    const release = await cluster.hold(name, 'lock table sessions');
    await sleep(1500);
    await release();
  },
};

test(`acknowledged writes are kept over ${rounds} random faults (SEED=${seed})`, async () => {
  const service = await startUnderLoad(cluster);
  const random = randomFrom(seed);
  for (let round = 1; round <= rounds; round++) {
    const [what, inject] = Object.entries(faults)[Math.floor(random() * Object.keys(faults).length)]!;
    console.log(`round ${round}: ${what}`);
    await inject(service);
    await expectRecovery(service);
    await sleep(random() * 500);
  }
  await service.journal.stop();
  await expectWholePool(service);
  await expectLedger(service);
  expect(service.journal.entries.length).toBeGreaterThan(rounds);
}, 600_000);
