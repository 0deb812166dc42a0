import { expect, onTestFinished, test } from 'vitest';
import { Journal } from '../cross-cutting/journal.ts';
import { startCluster } from '../support/cluster.ts';
import { clusterPassword } from '../support/cluster-password.ts';
import { send } from '../support/raw-http.ts';
import { startStandby } from '../support/standby.ts';
import { start } from '../support/start.ts';

/* docs/operations.md, "Failover": DATABASE_URL names the primary and its synchronous standby. */
test('a promoted synchronous standby has every acknowledged write, and replicas find it by themselves', {
  timeout: 120_000,
}, async () => {
  const cluster = await startCluster();
  onTestFinished(() => cluster.remove());
  const standby = await startStandby(cluster);
  onTestFinished(() => standby.remove());
  const name = await cluster.createDatabase();
  await cluster.query('postgres', `alter system set synchronous_standby_names = '*'`);
  await cluster.query('postgres', 'select pg_reload_conf(), pg_sleep(0.1)');
  const hosts = [cluster.socketDir, standby.socketDir].map(encodeURIComponent).join(',');
  const service = await start({
    replicas: 2,
    databaseUrl: () => `postgresql://postgres:${clusterPassword}@${hosts}/${name}`,
    env: { AUTO_CONFIRM_EMAIL: 'on', DATABASE_POOL_SIZE: '5', REFRESH_REUSE_INTERVAL: '60' },
    skipChecks: ['secrets', 'orphans'], // they would look into the database of the common cluster
  });
  const readyz = async (replica: number) =>
    (await send(service.replicas[replica]!.httpPort, { method: 'GET', path: '/readyz' })).status;
  const journal = new Journal();
  for (let writer = 0; writer < 8; writer++) journal.write(service.clients(writer % 4 < 2 ? 'grpc' : 'json', writer));
  await journal.progress(20);

  await cluster.kill();
  for (const replica of [0, 1]) await expect.poll(() => readyz(replica), { timeout: 10_000 }).toBe(503);
  await standby.query('postgres', 'select pg_promote()');
  for (const replica of [0, 1]) await expect.poll(() => readyz(replica), { timeout: 10_000 }).toBe(200);
  await journal.progress(20);

  await journal.stop();
  await journal.check(<Row extends object>(sql: string) => standby.query(name, sql) as Promise<Row[]>);
});
