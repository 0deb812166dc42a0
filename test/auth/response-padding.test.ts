import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { padResponseTime } from '../../src/auth/response-padding.ts';
import { ada, bob } from '../support/people.ts';
import { start, wires } from '../support/start.ts';

async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await call();
  return performance.now() - startedAt;
}

test('the time of work that succeeds or fails is padded to a multiple of 50 ms', async () => {
  expect(await timeOf(() => padResponseTime(() => sleep(1)))).toBeGreaterThanOrEqual(50);
  expect(await timeOf(() => padResponseTime(() => sleep(60)))).toBeGreaterThanOrEqual(100);
  expect(
    await timeOf(() => padResponseTime(() => Promise.reject(new Error('none'))).catch(() => {})),
  ).toBeGreaterThanOrEqual(50);
});

test.each(wires)('over %s a request for a link is padded for known and unknown addresses', async (wire) => {
  const service = await start({ env: { LIMITS: '*=50' } });
  await service.welcome();
  const { auth } = service.clients(wire);
  for (const email of [ada.email, 'nobody@example.org'])
    for (const ask of [auth.requestPasswordReset, auth.requestMagicLink])
      expect(await timeOf(() => ask({ email })), email).toBeGreaterThanOrEqual(50);
});

test.each(wires)('over %s a wrong code is padded for known and unknown addresses', async (wire) => {
  const service = await start();
  await service.welcome();
  const { auth } = service.clients(wire);
  const clientNonce = 'n'.repeat(22);
  for (const email of [ada.email, 'nobody@example.org']) {
    await auth.requestMagicLink({ email, clientNonce });
    const attempt = () => auth.signInWithMagicLink({ code: { email, clientNonce, code: '000000' } }).catch(() => {});
    expect(await timeOf(attempt), email).toBeGreaterThanOrEqual(50);
  }
});

test.each(wires)(
  'over %s with hidden registration Register and UpdateMe are padded for free and taken addresses',
  async (wire) => {
    const env = { LIMITS: '*=50', HIDE_REGISTRATION: 'on' };
    const service = await start({ env });
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    await service.welcome({ ...bob, emailVerified: true });
    const { auth } = service.clients(wire);
    for (const email of [bob.email, 'nobody@example.org']) {
      expect(await timeOf(() => auth.register({ email, password: bob.password })), email).toBeGreaterThanOrEqual(50);
      const change = { email, currentPassword: ada.password };
      expect(await timeOf(() => auth.updateMe(change, as)), email).toBeGreaterThanOrEqual(50);
    }
  },
);
