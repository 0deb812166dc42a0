import { execFileSync } from 'node:child_process';
import { renameSync, rmSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { UnsealedQueue } from '../../src/audit/queue.ts';
import { sealEvents } from '../../src/audit/seal.ts';
import { verifyTrail } from '../../src/audit/verify.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';

const keys = new MasterKeys([{ id: 'k1', key: Buffer.alloc(32, 1) }]);

const writeEvent = (cluster: Cluster, name: string) =>
  cluster.query(
    name,
    `insert into audit_events (id, project_id, at, action, result, actor_kind, address, user_agent, request_id)
     select gen_random_uuid(), id, clock_timestamp(), 'auth.login', 'SUCCESS', 'anyone', '', '', '' from projects`,
  );

/** Copies the files of the cluster. The result puts them back in the place of the present ones. */
async function backUp(cluster: Cluster) {
  const copy = `${cluster.data}.copy`;
  await cluster.stop();
  execFileSync('cp', ['-a', cluster.data, copy]);
  await cluster.start();
  return async () => {
    await cluster.stop();
    rmSync(cluster.data, { recursive: true });
    renameSync(copy, cluster.data);
    await cluster.start();
  };
}

test('a replica that was running when its cluster was restored from a backup seals the events written since', async () => {
  const cluster = await startCluster();
  onTestFinished(() => cluster.remove());
  const name = await cluster.createDatabase();
  const restore = await backUp(cluster);
  const orm = await openOrm(cluster.url(name), { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  const queue = new UnsealedQueue(orm);
  const seal = () => sealEvents(orm, keys, new Date(), queue);
  // The backup is a hundred transactions older than what the replica has seen.
  await cluster.query(name, 'do $$ begin for i in 1..100 loop perform pg_current_xact_id(); commit; end loop; end $$');
  await writeEvent(cluster, name);
  expect(await seal()).toBe(1);
  await restore();
  await writeEvent(cluster, name);
  await writeEvent(cluster, name);
  expect(await seal()).toBe(2);
  expect(queue.backlog.count).toBe(2);
  const [chain] = await verifyTrail(orm, { keys });
  expect(chain).toMatchObject({ events: 2, unsealed: 0 });
  expect(chain!.fault).toBeUndefined();
});
