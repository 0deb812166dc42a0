import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startLossyLink } from '../support/lossy-link.ts';
import { ada } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';
import { Journal } from './journal.ts';

const within = (milliseconds: number) => ({ headers: { 'connect-timeout-ms': `${milliseconds}` } });
const patiently = { timeout: 20_000, interval: 100 };

// Once the responses arrive before the timeout of a statement, and once after it.
test.each([2000, 10_000])(
  'at a latency of %i ms calls end at their deadline, and later calls succeed',
  async (delay) => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url, env: { DATABASE_POOL_SIZE: '4' } });
    const { tokens } = await service.welcome(ada);
    const { auth, sessions } = service.clients('json');
    proxy.delay = delay;
    for (const call of [
      () => auth.signIn(ada, within(400)),
      () => sessions.refresh({ refreshToken: tokens.refreshToken }, within(400)),
      () => auth.signUpAnonymous({}, within(400)),
    ]) {
      const begun = performance.now();
      expect(['DEADLINE_EXCEEDED', 'DATABASE_UNAVAILABLE']).toContain((await refusalOf(call())).reason);
      expect(performance.now() - begun, 'and not at the end of its statement').toBeLessThan(400 + 2500);
    }
    proxy.delay = 0;
    const refreshed = () => sessions.refresh({ refreshToken: tokens.refreshToken }).then(() => 'works', reasonOf);
    await expect.poll(refreshed, patiently).toBe('works');
    await expect.poll(() => auth.signIn(ada).then(() => 'works', reasonOf), patiently).toBe('works');
  },
);

test('connections whose responses no longer arrive leave the pool, and what was written over them is found', async () => {
  const proxy = await startProxy();
  const env = { DATABASE_POOL_SIZE: '3', DATABASE_STATEMENT_TIMEOUT: '2s', LIMITS: '*=off' };
  const service = await start({ databaseUrl: proxy.url, env });
  const { tokens, session, as } = await service.welcome(ada);
  const { auth, sessions } = service.clients('json');
  const listed = () => auth.getMe({}, as).then(() => 'works', reasonOf);
  expect(await Promise.all([listed(), listed(), listed()])).toEqual(['works', 'works', 'works']);
  proxy.mute();
  const lost = await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }, within(500)));
  expect(['DEADLINE_EXCEEDED', 'DATABASE_UNAVAILABLE']).toContain(lost.reason);
  const wave = async () => {
    const calls = Array.from({ length: 4 }, () => auth.signUpAnonymous({}, within(500)).catch(reasonOf));
    await Promise.all([...calls, listed()]);
    return proxy.muted;
  };
  await expect.poll(wave, patiently).toBe(0);
  expect(await Promise.all(Array.from({ length: 6 }, listed))).toEqual(Array(6).fill('works'));
  const generation = async () => {
    const rows = await service.database.query('select generation from sessions where id = $1', [session.id]);
    return rows[0];
  };
  const again = await sessions.refresh({ refreshToken: tokens.refreshToken });
  expect(await generation(), 'the lost refresh and the repeated one are one').toEqual({ generation: 1 });
  await sessions.refresh({ refreshToken: again.tokens!.refreshToken });
});

test('while packets are lost no call is refused, none hangs, and no acknowledged write is lost', async () => {
  const link = await startLossyLink();
  if (!link) return console.error('NOT TRIED: lost packets, because this user or this kernel has no lossy network');
  const env = { AUTO_CONFIRM_EMAIL: 'on', REFRESH_REUSE_INTERVAL: '60', DATABASE_STATEMENT_TIMEOUT: '1s' };
  const service = await start({ databaseUrl: link.url, env });
  const journal = new Journal();
  for (let writer = 0; writer < 8; writer++) journal.write(service.clients(writer % 2 ? 'grpc' : 'json'));
  await journal.progress(8);
  link.lose();
  await sleep(6000);
  expect(link.lost()).toBeGreaterThan(0);
  link.heal();
  await journal.progress(8, 30_000);
  await journal.stop();
  await journal.check(service.database.query);
  const outcomes = journal.entries.map(({ outcome, reason }) => `${outcome} ${reason ?? ''}`.trim());
  // The outcome of a registration over a connection that was given up is unknown.
  expect(new Set(outcomes)).toEqual(new Set(['acked', 'unknown DATABASE_UNAVAILABLE']));
  expect(Math.max(...journal.entries.map(({ took }) => took))).toBeLessThan(30_000);
});
