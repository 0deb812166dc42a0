import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { openClock } from '../../src/database/clock.ts';
import { openOrm } from '../../src/database/orm.ts';
import { createDatabase } from '../support/database.ts';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { startReplica } from '../support/replica.ts';
import { bearer } from '../support/start.ts';

const hour = 3_600_000;

afterEach(() => void vi.useRealTimers());

/** Shifts the clock of this process, but not the database's, by so many milliseconds. */
function missetClock(by: number): void {
  const right = performance.timeOrigin + performance.now();
  vi.useFakeTimers({ toFake: ['Date'], now: right + by, shouldAdvanceTime: true });
}

async function open(offsetSeconds = 0, delay = 0) {
  const database = await createDatabase();
  const proxy = await startProxy();
  const orm = await openOrm(proxy.url(database));
  onTestFinished(() => orm.close(true));
  proxy.delay = delay;
  const warnings: number[] = [];
  const { error: bound, ...clock } = await openClock(orm, offsetSeconds, (roundTrip) => warnings.push(roundTrip));
  proxy.delay = 0;
  /** Milliseconds by which the clock is at least ahead of the database's, which was read between two readings of ours. */
  const error = async () => {
    const before = clock.now().getTime();
    const [row] = await database.query<{ ms: number }>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
    );
    const after = clock.now().getTime();
    return row!.ms < before ? before - row!.ms : Math.min(after - row!.ms, 0);
  };
  return { ...clock, proxy, bound, warnings, error };
}

// Of the offset: half of the shortest round trip when it was measured.
const tolerance = 150;

describe('the clock', () => {
  test.each([
    ['right', 0],
    ['an hour fast', hour],
    ['a day slow', -24 * hour],
  ])('returns the time of the database when the clock of the process is %s', async (_, by) => {
    missetClock(by);
    const { error } = await open();
    expect(Math.abs(await error())).toBeLessThan(tolerance);
  });

  test('follows at the next adjustment when the clock of the process is changed', async () => {
    const { error, adjust } = await open();
    missetClock(-hour);
    expect(Math.abs((await error()) + hour)).toBeLessThan(tolerance);
    await adjust();
    expect(Math.abs(await error())).toBeLessThan(tolerance);
  });

  test('is accurate over a slow connection, because half of the round trip is subtracted', async () => {
    const { error, adjust, proxy } = await open();
    proxy.delay = 400;
    await adjust();
    expect(Math.abs(await error())).toBeLessThan(tolerance);
  });

  test('keeps its offset and the bound of its error while every round trip takes more than 50 ms', async () => {
    const { now, adjust, bound, warnings, proxy } = await open();
    expect(warnings).toEqual([]);
    const before = bound();
    expect(before).toBeLessThan(0.025);
    missetClock(-hour);
    const shifted = now().getTime();
    proxy.delay = 40;
    await adjust();
    expect(Math.abs(now().getTime() - shifted), 'not adjusted').toBeLessThan(hour / 2);
    expect(bound()).toBe(before);
  });

  test('takes the first offset over a slow connection, with a warning', async () => {
    const { bound, warnings, error } = await open(0, 60);
    expect(warnings).toEqual([expect.toSatisfy((roundTrip: number) => roundTrip > 100)]);
    expect(bound()).toBeGreaterThan(0.05);
    expect(Math.abs(await error())).toBeLessThan(tolerance);
  });

  test('is set by the fastest of its readings, whatever the others took', async () => {
    const { adjust, bound, proxy, error } = await open();
    for (const held of [0, 1, 2]) {
      const slow = proxy.hold('after', /clock_timestamp/);
      const adjusted = adjust();
      const { letGo } = await slow;
      await new Promise((resolve) => setTimeout(resolve, 300));
      letGo();
      await adjusted;
      expect(bound(), `round ${held}`).toBeLessThan(0.025);
      expect(Math.abs(await error())).toBeLessThan(tolerance);
    }
  });

  test('keeps its offset when the database does not respond', async () => {
    const { error, adjust, proxy } = await open();
    await proxy.refuse();
    await expect(adjust()).rejects.toThrow();
    expect(Math.abs(await error())).toBeLessThan(tolerance);
  });

  test('can be shifted for tests', async () => {
    const { error } = await open(7200);
    expect(Math.abs((await error()) - 2 * hour)).toBeLessThan(tolerance);
  });
});

test('a replica whose clock is a day fast stores, issues and checks times by the clock of the database', async () => {
  const database = await createDatabase();
  missetClock(24 * hour);
  const { admin, auth, sessions } = await startReplica(database);
  await admin.createUser(ada, asService);
  const { tokens, session } = await auth.signIn(ada);
  const { tokens: next } = await sessions.refresh({ refreshToken: tokens!.refreshToken });
  await auth.getMe({}, bearer(next!));
  expect((await sessions.introspect({ token: next!.accessToken }, asService)).active).toBe(true);
  const ages = await database.query<{ what: string; age: number }>(`
    select 'user' as what, abs(extract(epoch from now() - created_at))::float8 as age from users
    union all select 'session', abs(extract(epoch from now() - created_at))::float8 from sessions
    union all select 'refresh', abs(extract(epoch from now() - refreshed_at))::float8 from sessions
    union all select 'event', abs(extract(epoch from now() - at))::float8 from audit_events
    union all select 'key', abs(extract(epoch from now() - created_at))::float8 from signing_keys`);
  expect(ages.length).toBeGreaterThanOrEqual(6);
  expect(ages.filter(({ age }) => age > 30)).toEqual([]);
  const [row] = await database.query<{ seconds: number }>('select extract(epoch from now())::float8 as seconds');
  const { iat, exp } = JSON.parse(Buffer.from(next!.accessToken.split('.')[1]!, 'base64url').toString());
  expect(Math.abs(iat - row!.seconds)).toBeLessThan(30);
  expect(exp - iat).toBe(3600);
  expect(Math.abs(Number(session!.createTime!.seconds) - row!.seconds)).toBeLessThan(30);
});
