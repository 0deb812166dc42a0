import { expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { clusterPassword } from '../support/cluster-password.ts';
import { createDatabase } from '../support/database.ts';
import { asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';

/** Two hosts before the same database. */
async function twoHosts() {
  const database = await createDatabase();
  const [first, second] = [await startProxy(), await startProxy()];
  const hosts = [first, second].map((proxy) => new URL(proxy.url(database)).host).join(',');
  return { first, second, database, url: `postgresql://postgres:${clusterPassword}@${hosts}/${database.name}` };
}

test('a service whose host is lost goes on with the next one of the list, and back', async () => {
  const { first, second, url } = await twoHosts();
  const { clients } = await serve({ DATABASE_URL: url, MASTER_KEYS: testEnv.MASTER_KEYS });
  const calls = () =>
    clients.json.admin.listUsers({}, asService).then(
      () => 'works',
      () => 'fails',
    );
  expect(await calls()).toBe('works');
  expect(second.statements).toEqual([]);
  await first.refuse();
  await expect.poll(calls, { timeout: 5000 }).toBe('works');
  expect(second.statements.length).toBeGreaterThan(0);
  await first.accept();
  await second.refuse();
  await expect.poll(calls, { timeout: 5000 }).toBe('works');
});

test('a cancel request goes to the host of its connection, whichever is the current one', async () => {
  const { first, second, database, url } = await twoHosts();
  const orm = await openOrm(url, { poolSize: 2, statementTimeout: 30 });
  onTestFinished(() => orm.close(true));
  const leaving = new AbortController();
  const sleeping = new Autocommit(orm, leaving.signal).send('sleep', 'select pg_sleep(20)', () => []);
  const running = () =>
    database.query(
      `select 1 from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(20)' and state = 'active'`,
    );
  await expect.poll(running).toHaveLength(1);
  leaving.abort(new Error('left'));
  await expect(sleeping).rejects.toThrow('left');
  const cancels = (proxy: typeof first) => proxy.statements.filter(({ text }) => text === 'cancel').length;
  expect([cancels(first), cancels(second)]).toEqual([1, 0]);
});
