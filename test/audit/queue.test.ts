import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { UnsealedQueue } from '../../src/audit/queue.ts';
import { sealEvents } from '../../src/audit/seal.ts';
import { verifyTrail } from '../../src/audit/verify.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

const keys = new MasterKeys([{ id: 'k1', key: Buffer.alloc(32, 1) }]);

/** A database that no replica uses, and one replica's queue. */
async function openQueue() {
  const database = await createDatabase();
  const orm = await openOrm(database.url, { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  const queue = new UnsealedQueue(orm);
  return { database, orm, queue, seal: () => sealEvents(orm, keys, new Date(), queue) };
}

const insertion = (count: number) =>
  `insert into audit_events (id, project_id, at, action, result, actor_kind, address, user_agent, request_id)
   select gen_random_uuid(), id, clock_timestamp(), 'auth.login', 'SUCCESS', 'anyone', '', '', ''
   from projects, generate_series(1, ${count})`;

const waiting = ({ query }: TestDatabase) => query('select id from audit_unsealed');

test('under an old snapshot a batch costs the same, however many events were sealed since', async () => {
  const { database, orm, queue, seal } = await openQueue();
  // A run of autovacuum would be counted as well.
  await database.query('alter table audit_unsealed set (autovacuum_enabled = off)');
  const blocks = async () => {
    const flush = 'select pg_stat_force_next_flush()';
    await Promise.all([orm.em.fork().execute(flush), database.query(flush)]);
    const [row] = await database.query<{ blocks: number }>(
      `select (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int as blocks
       from pg_statio_user_tables where relname = 'audit_unsealed'`,
    );
    return row!.blocks;
  };
  const release = await database.hold('set transaction isolation level repeatable read; select 1 from projects');
  const costs: number[] = [];
  for (let round = 0; round < 20; round++) {
    await database.query(insertion(2_000));
    const before = await blocks();
    expect(await seal()).toBe(2_000);
    costs.push((await blocks()) - before);
  }
  expect(costs.at(-1)!, `blocks of each batch: ${costs.join(' ')}`).toBeLessThan(1.5 * costs[4]!);
  const before = await blocks();
  for (let look = 0; look < 50; look++) expect(await seal(), 'nothing is queued').toBe(0);
  expect(((await blocks()) - before) / 50, 'blocks of each look').toBeLessThan(10);
  expect(queue.backlog).toEqual({ count: 0, oldest: null });
  await release();
});

test('an event that commits late is sealed by the replica that has sealed later ones', async () => {
  const { database, orm, seal } = await openQueue();
  await database.query(insertion(1));
  const early = await database.hold(insertion(1));
  await database.query(insertion(2));
  const late = await database.hold(insertion(3_000));
  await database.query(insertion(4));
  expect(await seal()).toBe(7);
  expect(await seal()).toBe(0);
  await late();
  expect(await seal()).toBe(3_000);
  await database.query(insertion(5));
  expect(await seal()).toBe(5);
  await early();
  expect(await seal()).toBe(1);
  expect(await waiting(database)).toEqual([]);
  const progress: number[] = [];
  const [chain] = await verifyTrail(orm, { keys, progress: ({ events }) => progress.push(events) });
  expect(progress, 'small seals are verified together').toEqual([3_013]);
  expect(chain).toMatchObject({ events: 3_013, total: 3_013, unsealed: 0 });
  expect(chain!.fault).toBeUndefined();
});

test('every event is sealed once, while others commit at any moment and in any order', async () => {
  const { database, orm, seal } = await openQueue();
  let isOver = false;
  const write = async () => {
    while (!isOver) {
      const commit = await database.hold(insertion(1 + Math.floor(Math.random() * 20)));
      await sleep(Math.random() * 30);
      await commit();
    }
  };
  const writers = Array.from({ length: 8 }, write);
  const other = await openOrm(database.url, { poolSize: 1 });
  onTestFinished(() => other.close(true));
  const second = new UnsealedQueue(other);
  const deadline = performance.now() + 3_000;
  while (performance.now() < deadline)
    await Promise.all([seal(), Math.random() < 0.3 && sealEvents(other, keys, new Date(), second)]);
  isOver = true;
  await Promise.all(writers);
  await seal();
  expect(await waiting(database)).toEqual([]);
  const [{ count }] = (await database.query('select count(*)::int as count from audit_events')) as [{ count: number }];
  const [chain] = await verifyTrail(orm, { keys });
  expect(chain).toMatchObject({ events: count, total: count, unsealed: 0 });
  expect(chain!.fault).toBeUndefined();
});
