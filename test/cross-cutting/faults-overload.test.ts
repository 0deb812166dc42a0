import { setTimeout as sleep } from 'node:timers/promises';
import { Code, type Interceptor } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { kWork } from '../../src/rpc/context.ts';
import { ada, asService } from '../support/people.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { start, type TestService } from '../support/start.ts';

interface Timed {
  /** The reason of a refusal. */
  readonly outcome: string;
  readonly took: number;
}

async function timed(call: Promise<unknown>): Promise<Timed> {
  const asked = performance.now();
  const outcome = await call.then(
    () => 'ok',
    (error) => reasonOf(error) ?? String(error),
  );
  return { outcome, took: performance.now() - asked };
}

const crowdOf = (count: number, call: (index: number) => Promise<unknown>) =>
  Promise.all(Array.from({ length: count }, (_, index) => timed(call(index))));

const slowest = (calls: readonly Timed[]) => Math.max(...calls.map(({ took }) => took));
const fastest = (calls: readonly Timed[]) => Math.min(...calls.map(({ took }) => took));
const outcomes = (calls: readonly Timed[]) => Object.groupBy(calls, ({ outcome }) => outcome);

/** Paths that need no database respond, and fast. */
async function expectProbes({ replicas }: TestService): Promise<void> {
  for (const path of ['/livez', '/.well-known/jwks.json', '/version']) {
    const asked = performance.now();
    expect((await fetch(`http://127.0.0.1:${replicas[0]!.httpPort}${path}`)).status, path).toBe(200);
    expect(performance.now() - asked, path).toBeLessThan(1500);
  }
}

test('while a table is locked calls fail in time, calls in excess immediately, and afterwards calls succeed', async () => {
  const env = { DATABASE_STATEMENT_TIMEOUT: '1s', DATABASE_POOL_SIZE: '5', MAX_IN_FLIGHT: '40' };
  const service = await start({ env });
  await service.welcome(ada);
  const { auth } = service.clients('grpc');
  const release = await service.database.hold('lock table users');
  for (let wave = 0; wave < 2; wave++) {
    const calls = crowdOf(60, () => auth.signIn(ada));
    await sleep(100);
    await expectProbes(service);
    const { SERVER_BUSY = [], DATABASE_UNAVAILABLE = [], ...others } = outcomes(await calls);
    expect(others).toEqual({});
    expect(SERVER_BUSY.length, 'beyond half of MAX_IN_FLIGHT, for one client').toBe(40);
    expect(slowest(SERVER_BUSY), 'at once').toBeLessThan(fastest(DATABASE_UNAVAILABLE));
    expect(DATABASE_UNAVAILABLE.length, 'by lock_timeout, or by the wait for a connection').toBe(20);
    expect(slowest(DATABASE_UNAVAILABLE)).toBeLessThan(3000 + slowest(SERVER_BUSY));
  }
  await release();
  const after = await crowdOf(20, () => auth.signIn(ada));
  expect(outcomes(after)).toMatchObject({ ok: { length: 20 } });
});

test('while all connections of the pool hang, a call waits a second for one, however many calls wait', async () => {
  const env = { DATABASE_STATEMENT_TIMEOUT: '20s', DATABASE_POOL_SIZE: '2', LIMITS: '*=600' };
  const service = await start({ env });
  await service.welcome(ada);
  const { sessions } = service.clients('json');
  const tokens = await Promise.all([service.guest(), service.guest()]);
  const release = await service.database.hold('lock table users');
  const holders = tokens.map(({ tokens: { refreshToken } }) => timed(sessions.refresh({ refreshToken })));
  await service.database.blocked(2);
  const calls = await crowdOf(150, (i) => service.clients(i % 2 ? 'grpc' : 'json').auth.signIn(ada));
  expect(new Set(calls.map(({ outcome }) => outcome))).toEqual(new Set(['DATABASE_UNAVAILABLE']));
  expect(slowest(calls), 'a second for the budget, one for the user').toBeLessThan(8000);
  await expectProbes(service);
  await release();
  expect((await Promise.all(holders)).map(({ outcome }) => outcome)).toEqual(['ok', 'ok']);
  expect(outcomes(await crowdOf(20, () => service.clients('grpc').auth.signIn(ada)))).toMatchObject({
    ok: { length: 20 },
  });
});

test('PostgreSQL ends a transaction that stays open, and its locks are released', async () => {
  const forgetful: Interceptor = (next) => (req) => {
    const work = req.contextValues.get(kWork);
    if (work && req.method.name === 'BanUser')
      req.contextValues.set(kWork, {
        autocommit: work.autocommit,
        reads: work.reads,
        changeAlone: work.changeAlone,
        change: (closure) =>
          work.change(async (em) => {
            await closure(em);
            await em.flush();
            return new Promise<never>(() => {});
          }),
      });
    return next(req);
  };
  const env = { DATABASE_STATEMENT_TIMEOUT: '2s', DATABASE_POOL_SIZE: '3' };
  const service = await start({ env, inner: [forgetful] });
  const { user } = await service.welcome(ada);
  const { admin } = service.clients('json');
  const headers = { ...asService.headers, 'connect-timeout-ms': '1000' };
  expect((await refusalOf(admin.banUser({ userId: user.id }, { headers }))).reason).toBe('DEADLINE_EXCEEDED');
  expect((await timed(admin.unbanUser({ userId: user.id }, asService))).outcome).toBe('DATABASE_UNAVAILABLE');
  const unban = () => timed(admin.unbanUser({ userId: user.id }, asService)).then(({ outcome }) => outcome);
  await expect.poll(unban, { timeout: 20_000 }).toBe('ok');
  const [{ banned } = { banned: true }] = await service.database.query<{ banned: boolean }>(
    'select banned_until is not null as banned from users',
  );
  expect(banned).toBe(false);
});

test('sign-ins in excess of the hash queue are refused immediately, and refreshes stay fast', async () => {
  const env = {
    HASH_CONCURRENCY: '1',
    HASH_QUEUE: '10',
    PASSWORD_HASH_COST: 'm=19456,t=2,p=1',
    REFRESH_REUSE_INTERVAL: '60',
  };
  const service = await start({ env });
  await service.welcome(ada);
  const { tokens } = await service.guest();
  const { auth, sessions } = service.clients('grpc');
  let isOver = false;
  const storm = crowdOf(100, () => auth.signIn({ ...ada, password: 'not the right one' })).finally(
    () => (isOver = true),
  );
  const refreshes: Timed[] = [];
  for (let token = tokens.refreshToken; !isOver; ) {
    const refresh = sessions.refresh({ refreshToken: token });
    refreshes.push(await timed(refresh));
    token = (await refresh).tokens!.refreshToken;
  }
  const calls = await storm;
  const { OVER_CAPACITY = [], INVALID_CREDENTIALS = [], ...others } = outcomes(calls);
  expect(others).toEqual({});
  expect(INVALID_CREDENTIALS.length).toBeGreaterThanOrEqual(11);
  expect(OVER_CAPACITY.length).toBeGreaterThan(50);
  const refused = slowest(OVER_CAPACITY);
  const refreshed = refreshes.map(({ took }) => took).sort((a, b) => a - b);
  expect(refused, 'refused at once').toBeLessThan(2000);
  expect(refreshed[refreshed.length >> 1], 'a refresh needs no hash').toBeLessThan(250);
  expect(refreshed.at(-1)).toBeLessThan(2000);
  const refusals = await Promise.all(
    Array.from({ length: 20 }, () => auth.signIn(ada).catch((error: unknown) => error)),
  );
  const over = refusals.find((each) => reasonOf(each) === 'OVER_CAPACITY');
  expect(await refusalOf(Promise.reject(over))).toMatchObject({ code: Code.ResourceExhausted, retryAfter: 1 });
});
