import { expect, test } from 'vitest';
import { LoginWaiter } from '../../src/device/login-waiter.ts';

const prepare = () => new LoginWaiter('pending', new Date());

test('a waiter returns its state, and each new one once', async () => {
  const waiter = prepare();
  expect(await waiter.next()).toBe('pending');
  const next = waiter.next();
  waiter.show('pending');
  waiter.show('approved');
  waiter.show('approved');
  expect(await next).toBe('approved');
});

test('a last state is final, whatever a slower look has read', async () => {
  const waiter = prepare();
  waiter.show('approved');
  waiter.show('pending');
  waiter.show('redeemed');
  expect(await waiter.next()).toBe('approved');
});

test('a state that was returned long ago is returned again', async () => {
  const waiter = prepare();
  await waiter.next();
  waiter.remind(60_000);
  const next = waiter.next();
  expect(await Promise.race([next, Promise.resolve('nothing')])).toBe('nothing');
  waiter.remind(0);
  expect(await next).toBe('pending');
});

test('a failure ends a wait, now and later', async () => {
  const waiter = prepare();
  await waiter.next();
  const next = waiter.next();
  waiter.fail(new Error('the end'));
  waiter.fail(new Error('another'));
  await expect(next).rejects.toThrow('the end');
  await expect(waiter.next()).rejects.toThrow('the end');
});
