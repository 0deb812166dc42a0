import { expect, onTestFinished, test, vi } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { forkFor, transact } from '../../src/database/transaction.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';

type Open = Awaited<ReturnType<typeof openOrm>>;

const sleep = 'select pg_sleep(20)';

const ways: Record<string, (orm: Open, signal: AbortSignal) => Promise<unknown>> = {
  'that commits by itself': (orm, signal) => new Autocommit(orm, signal).send('sleep', sleep, () => []),
  'of an entity manager': (orm, signal) => forkFor(orm, signal).execute(sleep),
  'of a transaction': (orm, signal) => transact(orm, (em) => em.execute(sleep), signal),
};

const running = (database: TestDatabase) =>
  database.query(
    `select 1 from pg_stat_activity where datname = current_database() and state = 'active' and query = '${sleep}'`,
  );

test.each(Object.keys(ways))(
  'a statement %s is cancelled when its caller leaves, and nothing is printed',
  async (way) => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {});
    const database = await createDatabase();
    const proxy = await startProxy();
    const orm = await openOrm(proxy.url(database), { poolSize: 1, statementTimeout: 30 });
    onTestFinished(() => orm.close(true));
    const leaving = new AbortController();
    const query = ways[way]!(orm, leaving.signal);
    await expect.poll(() => running(database)).toHaveLength(1);
    leaving.abort(new Error('the caller has left'));
    await expect(query).rejects.toThrow('the caller has left');
    await expect.poll(() => running(database)).toHaveLength(0);
    expect(await orm.em.fork().execute('select 1 as one')).toEqual([{ one: 1 }]);
    expect(proxy.statements.filter(({ text }) => text === 'cancel')).toHaveLength(1);
    expect(proxy.statements.filter(({ text }) => text.includes('pg_cancel_backend'))).toEqual([]);
    expect(proxy.connections, 'the same connection').toBe(1);
    expect(print.mock.calls).toEqual([]);
  },
);

test.each(Object.keys(ways))('a late cancel request does not hit the statement after one %s', async (way) => {
  const database = await createDatabase();
  const proxy = await startProxy();
  const orm = await openOrm(proxy.url(database), { poolSize: 1, statementTimeout: 30 });
  onTestFinished(() => orm.close(true));
  const leaving = new AbortController();
  const request = proxy.hold('before', /^cancel$/);
  const query = ways[way]!(orm, leaving.signal);
  await expect.poll(() => running(database)).toHaveLength(1);
  leaving.abort(new Error('the caller has left'));
  const held = await request;
  // The statement ends by itself while the request is on its way.
  await database.query(`select pg_cancel_backend(pid) from pg_stat_activity where query = '${sleep}'`);
  const next = orm.em.fork().execute<{ slept: string }[]>('select pg_sleep(0.5)::text as slept');
  await new Promise((resolve) => setTimeout(resolve, 200));
  held.letGo();
  await expect(query).rejects.toThrow('the caller has left');
  expect(await next).toEqual([{ slept: '' }]);
});

test('a cancel request that comes before its statement is repeated', async () => {
  const database = await createDatabase();
  const proxy = await startProxy();
  const orm = await openOrm(proxy.url(database), { poolSize: 1, statementTimeout: 30 });
  onTestFinished(() => orm.close(true));
  await orm.em.fork().execute('select 1');
  const leaving = new AbortController();
  const statement = proxy.hold('before', (sent) => sent.text === sleep);
  const query = ways['of an entity manager']!(orm, leaving.signal);
  const held = await statement;
  leaving.abort(new Error('the caller has left'));
  await expect.poll(() => proxy.statements.filter(({ text }) => text === 'cancel').length).toBe(1);
  held.letGo();
  await expect(query).rejects.toThrow('the caller has left');
});
