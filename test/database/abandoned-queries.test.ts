import { expect, onTestFinished, test, vi } from 'vitest';
import { openOrm } from '../../src/database/orm.ts';
import { forkFor } from '../../src/database/transaction.ts';
import { createDatabase } from '../support/database.ts';

test('a query that is cancelled because its caller has left is not printed; what others print is', async () => {
  const print = vi.spyOn(console, 'error').mockImplementation(() => {});
  const database = await createDatabase();
  const orm = await openOrm(database.url);
  onTestFinished(() => orm.close(true));
  const leaving = new AbortController();
  const query = forkFor(orm, leaving.signal).execute('select pg_sleep(60)');
  const running = `select 1 from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(60)'`;
  await expect.poll(() => database.query(running)).toHaveLength(1);
  leaving.abort(new Error('the caller has left'));
  await expect(query).rejects.toThrow('the caller has left');
  await expect.poll(() => database.query(running)).toHaveLength(0);
  // Given back: the failure of the query has been dealt with.
  await orm.em.fork().execute('select 1');
  expect(print.mock.calls).toEqual([]);
  console.error('printed');
  expect(print.mock.calls).toEqual([['printed']]);
});
