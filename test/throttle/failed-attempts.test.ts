// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { startForAttempts, unknownAddress } from '../support/failed-attempts.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Pause, together } from '../support/race.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { type StartOptions, type Wire, wires } from '../support/start.ts';

/** The contract's numbers, as docs/throttling.md has them. */
const perAccount = 10;
const consecutive = 50;

const home = '203.0.113.7';
const unknown = 'nobody@example.org';
const wrong = 'INVALID_CREDENTIALS';
const over = 'OVER_REQUEST_RATE_LIMIT';

async function open(wire: Wire, options: StartOptions = {}) {
  const opened = await startForAttempts(wire, options);
  /** Tries wrong passwords from unknown networks. Each is refused as wrong. */
  const useUp = async (count: number, email = ada.email, first = 0) => {
    for (let n = first; n < first + count; n++)
      expect(await opened.tryWrong(unknownAddress(n), email, n), `attempt ${n}`).toBe(wrong);
  };
  return { ...opened, useUp };
}

describe.each(wires)('over %s', (wire) => {
  test('attempts from unknown networks are limited for all of them together, and lock nobody out', async () => {
    const { service, signIn, tryWrong, tryRight, useUp } = await open(wire);
    await signIn(home);
    await useUp(perAccount);
    for (let n = 0; n < 20; n++) expect(await tryWrong(unknownAddress(100 + n), ada.email, n)).toBe(over);
    const refusal = await refusalWithoutTrace(service.database, () => signIn('198.51.100.1', { replica: 1 }));
    expect(refusal, 'the right password').toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeGreaterThan(800);
    expect(refusal.retryAfter).toBeLessThanOrEqual(900);
    expect(await tryRight(home), 'from a known network').toBe('OK');
    service.pass(refusal.retryAfter! - 5);
    expect(await tryRight('198.51.100.1')).toBe(over);
    service.pass(6);
    expect(await tryRight('198.51.100.1')).toBe('OK');
  });

  test('attempts from a known network are limited for that network alone', async () => {
    const { service, signIn, tryWrong, tryRight } = await open(wire);
    const v6 = '2001:db8:1:2::7';
    for (const address of [home, v6]) await signIn(address);
    for (let n = 0; n < perAccount; n++) expect(await tryWrong(home)).toBe(wrong);
    expect([await tryWrong(home, ada.email, 1), await tryRight(home)]).toEqual([over, over]);
    expect(await tryRight('2001:db8:1:2:ffff::1'), 'in the same /64 as a session').toBe('OK');
    expect(await tryRight('198.51.100.1'), 'an unknown network').toBe('OK');
    service.pass(901);
    expect(await tryRight(home)).toBe('OK');
  });

  test('a network is known while the user has a live session of their own there', async () => {
    const { service, signIn, tryWrong, tryRight, useUp } = await open(wire);
    const { tokens } = await signIn(home);
    const { as } = await service.operator();
    const headers = { ...as.headers, 'x-forwarded-for': '198.51.100.9' };
    const { user } = await signIn('198.51.100.2');
    await service.clients(wire).admin.impersonateUser({ userId: user!.id }, { headers });
    await useUp(perAccount);
    expect(await tryWrong('198.51.100.9'), 'where an operator acts as the user').toBe(over);
    expect(await tryWrong('203.0.113.8'), 'a neighboring address').toBe(over);
    await signIn(home, { email: ada.email });
    await service.clients(wire).sessions.signOut({ refreshToken: tokens!.refreshToken });
    expect(await tryRight(home), 'one of two sessions there is still live').toBe('OK');
    await service.database.query('update sessions set revoked_at = now() where revoked_at is null and address = $1', [
      home,
    ]);
    expect(await tryRight(home)).toBe(over);
    expect(await tryRight('198.51.100.2')).toBe('OK');
  });

  test('refusals and counters do not reveal whether an address is registered', async () => {
    const { service, signIn, useUp } = await open(wire);
    await signIn(home);
    const seen = [];
    for (const email of [ada.email, unknown]) {
      await useUp(perAccount, email);
      const { retryAfter, retryAfterHeader, ...rest } = await refusalOf(signIn(unknownAddress(99), { email }));
      expect(retryAfter).toBeGreaterThan(850);
      seen.push(rest);
    }
    expect(seen[0]).toEqual(seen[1]);
    const keys = await service.database.query<{ key: string }>(
      `select key from durable_rate_limits where key ~ '^password (recent|streak) '`,
    );
    expect(keys).toHaveLength(4);
    expect(JSON.stringify(keys)).not.toMatch(/example\.org/);
  });

  test('after fifty failures in a row unknown networks are refused until a success or a new password', async () => {
    const { service, signIn, tryWrong, tryRight, useUp } = await open(wire);
    await signIn(home);
    const tryAll = async () => {
      for (let n = 0; n < consecutive; n += perAccount) {
        await useUp(perAccount, ada.email, n);
        service.pass(901);
      }
    };
    await tryAll();
    service.pass(86_400);
    expect(await tryWrong(unknownAddress(60))).toBe(over);
    expect(await tryRight(unknownAddress(61))).toBe(over);
    expect(await tryRight(home), 'from a known network').toBe('OK');
    expect(await tryRight(unknownAddress(61)), 'after a success').toBe('OK');
    await tryAll();
    expect(await tryRight(unknownAddress(63))).toBe(over);
    const { auth } = service.clients(wire);
    await auth.requestPasswordReset({ email: ada.email });
    const newPassword = 'the second difference';
    await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword });
    await signIn(unknownAddress(63), { password: newPassword });
  });

  test('after fifty failures from known networks all of them are refused, and unknown networks are not', async () => {
    const { service, signIn, tryWrong, tryRight } = await open(wire);
    const office = '203.0.113.77';
    for (const address of [home, office]) await signIn(address);
    for (let n = 0; n < consecutive; n++) {
      if (n > 0 && n % perAccount === 0) service.pass(901);
      expect(await tryWrong(home, ada.email, n)).toBe(wrong);
    }
    service.pass(901);
    expect([await tryRight(home), await tryRight(office)]).toEqual([over, over]);
    expect(await tryRight(unknownAddress(1))).toBe('OK');
    expect([await tryRight(home), await tryRight(office)], 'after a success').toEqual(['OK', 'OK']);
  });

  test('sessions, guests and access tokens of others do not reset the count', async () => {
    const { service, signIn, tryWrong, useUp } = await open(wire);
    await service.clients('json').admin.createUser(bob, asService);
    const { auth, sessions } = service.clients(wire);
    for (let n = 0; n < perAccount; n++) {
      const { tokens } = await signIn(unknownAddress(n), bob);
      const { tokens: guests } = await auth.signUpAnonymous({}, { headers: { 'x-forwarded-for': unknownAddress(n) } });
      await sessions.refresh({ refreshToken: tokens!.refreshToken });
      const bearer = n % 2 ? tokens! : guests!;
      const headers = { authorization: `Bearer ${bearer.accessToken}`, 'x-forwarded-for': unknownAddress(n) };
      const attempt = auth.signIn({ ...ada, password: 'a wrong password' }, { headers });
      expect((await refusalOf(attempt)).reason).toBe(wrong);
    }
    expect(await tryWrong(unknownAddress(50))).toBe(over);
    await useUp(perAccount, bob.email);
  });

  test('of parallel attempts over two replicas exactly as many get a verdict as the account has left', async () => {
    const { tryWrong, useUp } = await open(wire);
    await useUp(perAccount - 1);
    const { answers } = await together((n) => tryWrong(unknownAddress(n), ada.email, n));
    expect(answers.filter((each) => each === wrong)).toHaveLength(1);
    expect(answers.filter((each) => each !== wrong).every((each) => each === over)).toBe(true);
  });

  test('the right password is refused when parallel attempts have used up the counter', async () => {
    const pause = new Pause('SignIn');
    const { service, tryRight, useUp } = await open(wire, { inner: [pause.interceptor()] });
    const stopped = pause.next();
    const right = tryRight(unknownAddress(200));
    await stopped;
    await useUp(perAccount);
    pause.resume();
    expect(await right).toBe(over);
    expect(await service.database.query('select id from sessions')).toEqual([]);
  });
});

test('a clock that is set back prolongs a refusal by no more than it was fast', async () => {
  const { service, tryRight, useUp } = await open('json');
  service.pass(3600);
  await useUp(perAccount);
  service.pass(-3600);
  expect(await tryRight(unknownAddress(50))).toBe(over);
  service.pass(3600 + 901);
  expect(await tryRight(unknownAddress(50))).toBe('OK');
});
