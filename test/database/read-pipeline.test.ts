import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { definedSharedReads, statement } from '../../src/database/statement.ts';
import { createDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';

const number = statement<{ n: number; backend: number }, { n: number }>(
  'test_number',
  'select :n::int as n, pg_backend_pid() as backend',
  { isSharedRead: true },
);
const users = statement<{ count: number }, object>('test_users', 'select count(*)::int from users', {
  isSharedRead: true,
});
const bad = statement<{ n: number }, { n: number }>('test_bad', 'select 1 / :n::int as n', { isSharedRead: true });
const unshared = statement<{ backend: number }, object>(
  'test_unshared',
  'select pg_backend_pid() as backend, count(*) from users',
);

async function openPipe(poolSize = 5) {
  const database = await createDatabase();
  const proxy = await startProxy();
  const orm = await openOrm(proxy.url(database), { poolSize, statementTimeout: 30 });
  onTestFinished(() => orm.close(true));
  const autocommit = new Autocommit(orm);
  const numbers = async (count: number) => {
    const rows = await Promise.all(Array.from({ length: count }, (_, n) => number(autocommit, { n })));
    expect(rows.map(([row]) => row!.n)).toEqual(Array.from({ length: count }, (_, n) => n));
    return new Set(rows.map(([row]) => row!.backend));
  };
  // The first read finds no pipeline, and opens it.
  await numbers(1);
  await expect.poll(() => proxy.connections).toBe(poolSize > 1 ? 2 : 1);
  await sleep(50);
  return { database, proxy, autocommit, numbers };
}

test('fifty concurrent reads share one connection, and each receives its own rows', async () => {
  const { numbers, proxy } = await openPipe();
  expect((await numbers(50)).size).toBe(1);
  expect(proxy.connections).toBe(2);
});

test('a read that is not shared delays no shared one', async () => {
  const { database, numbers, autocommit } = await openPipe();
  const release = await database.hold('lock table users in access exclusive mode');
  const slow = unshared(autocommit, {});
  await database.blocked(1);
  const [shared] = await numbers(20);
  await release();
  expect((await slow)[0]!.backend).not.toBe(shared);
});

test('only look-ups of sessions and API keys by their ids are shared, some with the few things that their user has', async () => {
  await import('../../src/server.ts');
  const ours = [...definedSharedReads].filter((name) => !name.startsWith('test_'));
  expect(ours.toSorted()).toEqual([
    'api_key_states',
    'session_state_account',
    'session_states',
    'session_states_factors',
    'session_states_identities',
    'session_states_introspected',
    'session_states_me',
    'session_states_me_whole',
    'session_states_me_without_account',
    'session_states_passkeys',
    'session_states_referral',
    'session_states_shown',
    'session_states_trusted_devices',
    'session_states_usage',
  ]);
});

test('a pool of one connection has no pipeline', async () => {
  const { numbers, proxy } = await openPipe(1);
  expect((await numbers(20)).size).toBe(1);
  expect(proxy.connections).toBe(1);
});

test('a failing read throws its own error, and concurrent reads succeed', async () => {
  const { autocommit, numbers } = await openPipe();
  const [failure] = await Promise.all([bad(autocommit, { n: 0 }).catch((error) => error), numbers(20), numbers(20)]);
  expect(failure).toMatchObject({ code: '22012' });
});

test('a read that waits for a lock does not delay others for long, and returns in the end', async () => {
  const { database, autocommit, numbers, proxy } = await openPipe();
  const release = await database.hold('lock table users in access exclusive mode');
  const waiting = users(autocommit, {});
  await database.blocked(1);
  const startedAt = performance.now();
  expect((await numbers(20)).size).toBeGreaterThan(1);
  expect(performance.now() - startedAt, 'long before lock_timeout').toBeLessThan(6000);
  await release();
  expect(await waiting).toEqual([{ count: 0 }]);
  expect(proxy.statements.filter(({ name }) => name === 'test_users')).toHaveLength(2);
});

test('when the connection breaks during twenty reads, all of them return over the pool', async () => {
  const { proxy, numbers } = await openPipe();
  const reached = proxy.hold('before', ({ name }) => name === 'test_number');
  const answers = numbers(20);
  (await reached).reset();
  expect((await answers).size).toBeGreaterThan(1);
});

test('the pipeline reopens after its connection broke', async () => {
  const { proxy, numbers } = await openPipe();
  proxy.reset();
  await expect
    .poll(async () => {
      await numbers(1);
      return (await numbers(50)).size;
    })
    .toBe(1);
});
