import { expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { statement } from '../../src/database/statement.ts';
import { transact } from '../../src/database/transaction.ts';
import { toRefusal } from '../../src/rpc/connect-error.ts';
import { createDatabase } from '../support/database.ts';

type Orm = Awaited<ReturnType<typeof openOrm>>;

const double = statement<{ doubled: number }, { n: number }>(
  'double_for_test',
  'insert into projects (id, slug, created_at) select null, null, null where false returning :n::int * 2 as doubled',
);

const ways: Record<string, (orm: Orm) => Promise<unknown>> = {
  'that commits by itself': (orm) => double(new Autocommit(orm), { n: 1 }),
  'of a transaction': (orm) => transact(orm, (em) => double(em, { n: 1 })),
};

async function open(): Promise<Orm> {
  const { url } = await createDatabase();
  const orm = await openOrm(url, { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  return orm;
}

const reasonOf = (sent: Promise<unknown>): Promise<string> =>
  sent.then(
    () => 'works',
    (error) => toRefusal(error).reason,
  );

// As behind a pooler that gives the connection another server.
for (const [way, send] of Object.entries(ways)) {
  test(`a prepared statement ${way} that the server has lost is unavailable once, and then prepared anew`, async () => {
    const orm = await open();
    expect(await reasonOf(send(orm))).toBe('works');
    await orm.em.fork().execute('deallocate all');
    expect(await reasonOf(send(orm))).toBe('DATABASE_UNAVAILABLE');
    expect(await reasonOf(send(orm))).toBe('works');
  });

  test(`a prepared statement ${way} whose name another client took is unavailable once`, async () => {
    const orm = await open();
    await orm.em.fork().execute('prepare double_for_test as select 1');
    expect(await reasonOf(send(orm))).toBe('DATABASE_UNAVAILABLE');
    expect(await reasonOf(send(orm))).toBe('works');
  });
}

test('a statement that somebody else cancels is unavailable', async () => {
  const database = await createDatabase();
  const orm = await openOrm(database.url, { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  const sleeping = reasonOf(orm.em.fork().execute('select pg_sleep(3)'));
  const cancel = `select pg_cancel_backend(pid) from pg_stat_activity
     where datname = current_database() and query = 'select pg_sleep(3)'`;
  await expect.poll(() => database.query(cancel)).toHaveLength(1);
  expect(await sleeping).toBe('DATABASE_UNAVAILABLE');
});
