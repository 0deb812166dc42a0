import { expect, test } from 'vitest';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
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
