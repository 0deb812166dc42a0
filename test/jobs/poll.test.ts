import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { send } from '../support/raw-http.ts';
import { start } from '../support/start.ts';

const soon = { timeout: 3000, interval: 20 };

test('both replicas learn of a new signing key within three seconds', async () => {
  const { replicas, clients, pass } = await start({ replicas: 2 });
  pass(400); // the standby key is in every cache
  for (const [n, other] of [replicas[1]!, replicas[0]!].entries()) {
    const { keys } = await clients('json', n).admin.rotateSigningKey({}, asService);
    await expect.poll(() => other.ring.jwks().keys.length, soon).toBe(keys.length);
    pass(400);
  }
});

test('a mail is sent at once by the replica that enqueued it, and by another one if that one was killed', async () => {
  const proxy = await startProxy();
  const { database, clients, replicas } = await start({
    replicas: 2,
    databaseUrl: proxy.url,
    env: { MAIL_MODE: 'capture' },
  });
  const states = () => database.query('select state from mail_outbox');
  for (const n of replicas.keys()) {
    await clients('json', n).auth.register({ ...ada, email: `${n}@example.org` });
    await expect
      .poll(states, { timeout: 500, interval: 10 })
      .toEqual(Array.from({ length: n + 1 }, () => ({ state: 'sent' })));
  }
  // As a process leaves it that was killed after its commit.
  await database.query(
    `update mail_outbox set state = 'queued', ended_at = null, sealed = '\\x00', due_at = now() - interval '1 second'`,
  );
  const tried = () => database.query(`select 1 from mail_outbox where fault is not null`);
  await expect.poll(tried, soon).toHaveLength(2);
});

test('replicas stay ready and keep their leases while a queue cannot be read', async () => {
  const { database, replicas } = await start({ replicas: 2 });
  const holders = () => database.query('select name, holder from leases where holder is not null order by name');
  await expect.poll(async () => (await holders()).length, { timeout: 10_000 }).toBe(4);
  const before = await holders();
  const release = await lockQueue(database);
  const seen = new Set<number>();
  // Longer than a lease.
  for (const end = performance.now() + 12_000; performance.now() < end; await sleep(200))
    for (const { httpPort } of replicas) seen.add((await send(httpPort, { method: 'GET', path: '/readyz' })).status);
  const after = await database.query<{ left: number }>(
    'select extract(epoch from until - clock_timestamp())::float8 as left from leases where holder is not null',
  );
  await release();
  expect(seen).toEqual(new Set([200]));
  expect(await holders()).toEqual(before);
  for (const { left } of after) expect(left).toBeGreaterThan(0);
}, 60_000);

test('a replica that does not seal reads nothing of the queue of unsealed events', async () => {
  const sent: { text: string; values: unknown[] }[] = [];
  const { query } = pg.Client.prototype;
  onTestFinished(() => void Object.assign(pg.Client.prototype, { query }));
  Object.assign(pg.Client.prototype, {
    query(this: pg.Client, config: { text: string; values: unknown[] }, ...rest: unknown[]) {
      if (config?.text?.includes('"isUnsealed"')) sent.push(config);
      return (query as (...all: unknown[]) => unknown).call(this, config, ...rest);
    },
  });
  const { database } = await start({ replicas: 2 });
  await expect.poll(() => sent.length, { timeout: 10_000 }).toBeGreaterThan(6);
  const ofOthers = sent.filter(({ values }) => values.includes(null));
  expect(ofOthers.length).toBeGreaterThan(2);
  const [row] = await database.query<{ 'QUERY PLAN': unknown }>(
    `explain (analyze, format json) ${ofOthers[0]!.text}`,
    ofOthers[0]!.values,
  );
  expect(JSON.stringify(row)).not.toContain('audit_unsealed');
});

/** Keeps everybody from reading the queue of unsealed events. Returns how to let them. */
async function lockQueue({ url }: TestDatabase): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('begin; lock table audit_unsealed in access exclusive mode');
  return () => client.end();
}
