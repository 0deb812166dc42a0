// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { openToGuesses, stranger } from '../support/failed-attempts.ts';
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
  const opened = await openToGuesses(wire, options);
  /** So many wrong passwords of strangers, all of which are told so. */
  const useUp = async (count: number, email = ada.email, first = 0) => {
    for (let n = first; n < first + count; n++)
      expect(await opened.guess(stranger(n), email, n), `guess ${n}`).toBe(wrong);
  };
  return { ...opened, useUp };
}

describe.each(wires)('over %s', (wire) => {
  test('strangers who guess, from however many addresses, are bounded and lock nobody out', async () => {
    const { service, signIn, guess, enter, useUp } = await open(wire);
    await signIn(home);
    await useUp(perAccount);
    for (let n = 0; n < 20; n++) expect(await guess(stranger(100 + n), ada.email, n)).toBe(over);
    const refusal = await refusalWithoutTrace(service.database, () => signIn('198.51.100.1', { replica: 1 }));
    expect(refusal, 'the right password').toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeGreaterThan(800);
    expect(refusal.retryAfter).toBeLessThanOrEqual(900);
    expect(await enter(home), 'where the user is known').toBe('OK');
    service.pass(refusal.retryAfter! - 5);
    expect(await enter('198.51.100.1')).toBe(over);
    service.pass(6);
    expect(await enter('198.51.100.1')).toBe('OK');
  });

  test('who guesses from where the user is known is bounded, too, and only there', async () => {
    const { service, signIn, guess, enter } = await open(wire);
    const v6 = '2001:db8:1:2::7';
    for (const address of [home, v6]) await signIn(address);
    for (let n = 0; n < perAccount; n++) expect(await guess(home)).toBe(wrong);
    expect([await guess(home, ada.email, 1), await enter(home)]).toEqual([over, over]);
    expect(await enter('2001:db8:1:2:ffff::1'), 'in the same /64 as a session').toBe('OK');
    expect(await enter('198.51.100.1'), 'a stranger').toBe('OK');
    service.pass(901);
    expect(await enter(home)).toBe('OK');
  });

  test('a network is known as long as a session of the user lives that is their own', async () => {
    const { service, signIn, guess, enter, useUp } = await open(wire);
    const { tokens } = await signIn(home);
    const { as } = await service.operator();
    const headers = { ...as.headers, 'x-forwarded-for': '198.51.100.9' };
    const { user } = await signIn('198.51.100.2');
    await service.clients(wire).admin.impersonateUser({ userId: user!.id }, { headers });
    await useUp(perAccount);
    expect(await guess('198.51.100.9'), 'where an operator acts as them').toBe(over);
    expect(await guess('203.0.113.8'), 'a neighbor').toBe(over);
    await signIn(home, { email: ada.email });
    await service.clients(wire).sessions.signOut({ refreshToken: tokens!.refreshToken });
    expect(await enter(home), 'of two sessions there one lives').toBe('OK');
    await service.database.query('update sessions set revoked_at = now() where revoked_at is null and address = $1', [
      home,
    ]);
    expect(await enter(home)).toBe(over);
    expect(await enter('198.51.100.2')).toBe('OK');
  });

  test('nothing tells an address that nobody has from one that somebody has', async () => {
    const { service, signIn, useUp } = await open(wire);
    await signIn(home);
    const seen = [];
    for (const email of [ada.email, unknown]) {
      await useUp(perAccount, email);
      const { retryAfter, retryAfterHeader, ...rest } = await refusalOf(signIn(stranger(99), { email }));
      expect(retryAfter).toBeGreaterThan(850);
      seen.push(rest);
    }
    expect(seen[0]).toEqual(seen[1]);
    const keys = await service.database.query<{ key: string }>(
      `select key from rate_limits where key ~ '^password (recent|streak) '`,
    );
    expect(keys).toHaveLength(4);
    expect(JSON.stringify(keys)).not.toMatch(/example\.org/);
  });

  test('after fifty failures without a success only a success or a new password opens it to strangers', async () => {
    const { service, signIn, guess, enter, useUp } = await open(wire);
    await signIn(home);
    const tryAll = async () => {
      for (let n = 0; n < consecutive; n += perAccount) {
        await useUp(perAccount, ada.email, n);
        service.pass(901);
      }
    };
    await tryAll();
    service.pass(86_400);
    expect(await guess(stranger(60))).toBe(over);
    expect(await enter(stranger(61))).toBe(over);
    expect(await enter(home), 'where the user is known').toBe('OK');
    expect(await enter(stranger(61)), 'after a success').toBe('OK');
    await tryAll();
    expect(await enter(stranger(63))).toBe(over);
    const { auth } = service.clients(wire);
    await auth.requestPasswordReset({ email: ada.email });
    const newPassword = 'the second difference';
    await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword });
    await signIn(stranger(63), { password: newPassword });
  });

  test('after fifty failures from networks of the user those are closed together, and strangers get in as ever', async () => {
    const { service, signIn, guess, enter } = await open(wire);
    const office = '203.0.113.77';
    for (const address of [home, office]) await signIn(address);
    for (let n = 0; n < consecutive; n++) {
      if (n > 0 && n % perAccount === 0) service.pass(901);
      expect(await guess(home, ada.email, n)).toBe(wrong);
    }
    service.pass(901);
    expect([await enter(home), await enter(office)]).toEqual([over, over]);
    expect(await enter(stranger(1))).toBe('OK');
    expect([await enter(home), await enter(office)], 'after a success').toEqual(['OK', 'OK']);
  });

  test('no session, guest or bearer in between makes the count begin anew', async () => {
    const { service, signIn, guess, useUp } = await open(wire);
    await service.clients('json').admin.createUser(bob, asService);
    const { auth, sessions } = service.clients(wire);
    for (let n = 0; n < perAccount; n++) {
      const { tokens } = await signIn(stranger(n), bob);
      const { tokens: guests } = await auth.signUpAnonymous({}, { headers: { 'x-forwarded-for': stranger(n) } });
      await sessions.refresh({ refreshToken: tokens!.refreshToken });
      const bearer = n % 2 ? tokens! : guests!;
      const headers = { authorization: `Bearer ${bearer.accessToken}`, 'x-forwarded-for': stranger(n) };
      const attempt = auth.signIn({ ...ada, password: 'a wrong password' }, { headers });
      expect((await refusalOf(attempt)).reason).toBe(wrong);
    }
    expect(await guess(stranger(50))).toBe(over);
    await useUp(perAccount, bob.email);
  });

  test('of parallel guesses over two replicas exactly as many are told anything as the account has left', async () => {
    const { guess, useUp } = await open(wire);
    await useUp(perAccount - 1);
    const { answers } = await together((n) => guess(stranger(n), ada.email, n));
    expect(answers.filter((each) => each === wrong)).toHaveLength(1);
    expect(answers.filter((each) => each !== wrong).every((each) => each === over)).toBe(true);
  });

  test('a right password among many wrong ones is not told when they were too many by then', async () => {
    const pause = new Pause('SignIn');
    const { service, enter, useUp } = await open(wire, { inner: [pause.interceptor()] });
    const stopped = pause.next();
    const right = enter(stranger(200));
    await stopped;
    await useUp(perAccount);
    pause.resume();
    expect(await right).toBe(over);
    expect(await service.database.query('select id from sessions')).toEqual([]);
  });
});

test('a clock that is set back does not keep strangers out for longer than it was fast', async () => {
  const { service, enter, useUp } = await open('json');
  service.pass(3600);
  await useUp(perAccount);
  service.pass(-3600);
  expect(await enter(stranger(50))).toBe(over);
  service.pass(3600 + 901);
  expect(await enter(stranger(50))).toBe('OK');
});
