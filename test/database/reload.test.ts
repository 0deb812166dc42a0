import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { reasonOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());

/** Settings that every connection reports when they change, and one that none reports. */
const changing = ['log_min_duration_statement', 'DateStyle', 'IntervalStyle', 'TimeZone', 'work_mem'];
const values: Readonly<Record<string, readonly [string, string]>> = {
  log_min_duration_statement: ['-1', '10000'],
  DateStyle: ['German', 'ISO'],
  IntervalStyle: ['iso_8601', 'postgres'],
  TimeZone: ['Asia/Tokyo', 'UTC'],
  work_mem: ['5MB', '4MB'],
};

/** Two replicas whose GetMe is called all the time, over both transports. */
async function startUnderLoad() {
  const name = await cluster.createDatabase();
  const service = await start({
    replicas: 2,
    databaseUrl: () => cluster.url(name),
    env: { HEARTBEAT: 'on', DATABASE_POOL_SIZE: '5', LOG_LEVEL: 'error' },
    skipChecks: ['secrets', 'orphans'], // they would look into the database of the common cluster
  });
  const guest = await service.guest();
  const counts = { calls: 0, failures: [] as string[], isStopped: false };
  const call = async (n: number) => {
    const { auth } = service.clients(wires[n % 2]!, n >> 1);
    while (!counts.isStopped) {
      counts.calls++;
      await auth.getMe({}, bearer(guest.tokens)).catch((error) => counts.failures.push(reasonOf(error) ?? error.code));
      await sleep(5);
    }
  };
  const calling = Promise.all(Array.from({ length: 16 }, (_, n) => call(n)));
  const stop = async () => {
    counts.isStopped = true;
    await calling;
    return counts;
  };
  // Also after a failure: calls that fail at once would leave the process no time for anything else.
  onTestFinished(async () => void (await stop()));
  return { name, stop };
}

test('GetMe succeeds while PostgreSQL reloads its configuration two hundred times', async () => {
  const { name, stop } = await startUnderLoad();
  for (let time = 0; time < 200; time++) {
    const setting = changing[time % changing.length]!;
    if (time % 4 === 0)
      await cluster.query(name, `alter system set ${setting} = '${values[setting]![(time >> 2) % 2]}'`);
    await cluster.query(name, 'select pg_reload_conf()');
    await sleep(time % 10);
  }
  const { calls, failures } = await stop();
  expect(failures).toEqual([]);
  expect(calls).toBeGreaterThan(1000);
});

test('the same load notices connections that end', async () => {
  const { name, stop } = await startUnderLoad();
  for (let time = 0; time < 40; time++) {
    await cluster.query(
      name,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'gatehouse'`,
    );
    await sleep(20);
  }
  const { failures } = await stop();
  expect(failures).toContain('DATABASE_UNAVAILABLE');
});
