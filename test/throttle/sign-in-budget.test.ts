// @serializable
import { describe, expect, test } from 'vitest';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { type StartOptions, start, type Wire, wires } from '../support/start.ts';

const over = 'OVER_REQUEST_RATE_LIMIT';
/** The numbers of the contract for sign-ins. */
const contract = { LIMITS: '*=off,AuthService.SignIn=5,AuthService.SignInWithMagicLink=10' };
const password = 'a difference engine';

/** Two replicas with so many users, all behind the address of an office. */
async function startOffice(wire: Wire, people: number, options: StartOptions = {}) {
  const service = await start({ replicas: 2, env: { ...contract, TRUSTED_PROXY_HOPS: '1' }, ...options });
  const emails = Array.from({ length: people }, (_, i) => `person${i}@example.org`);
  for (const email of emails)
    await service.clients('json').admin.createUser({ email, password, emailVerified: true }, asService);
  const signIn = (i: number, given = password, address = '203.0.113.1') =>
    service
      .clients(wire, i)
      .auth.signIn({ email: emails[i % people]!, password: given }, { headers: { 'x-forwarded-for': address } });
  const outcome = (...call: Parameters<typeof signIn>) => signIn(...call).then(() => 'OK', reasonOf);
  return { service, pass: service.pass, emails, signIn, outcome };
}

describe.each(wires)('over %s', (wire) => {
  test('twenty people sign in at once from one address', async () => {
    const { signIn } = await startOffice(wire, 20);
    const { errors } = await together((i) => signIn(i), 20);
    expect(errors).toEqual([]);
  });

  test('one account is signed in twenty times a minute from one address, whatever the password then is', async () => {
    const { outcome, signIn, pass } = await startOffice(wire, 2);
    const account = (n: number) => n * 2; // of the first person, on the first replica
    for (let n = 0; n < 4; n++) expect(await outcome(account(n), 'a wrong password')).toBe('INVALID_CREDENTIALS');
    for (let n = 0; n < 20; n++) expect(await outcome(account(n)), `sign-in ${n}`).toBe('OK');
    const refusal = await refusalOf(signIn(0));
    expect(refusal).toMatchObject({ reason: over, retryAfter: expect.any(Number) });
    expect(refusal.retryAfter).toBeLessThanOrEqual(60);
    expect(await outcome(0, 'a wrong password'), 'no verdict').toBe(over);
    expect(await outcome(1), 'another account').toBe('OK');
    expect(await outcome(0, password, '203.0.113.2'), 'another address').toBe('OK');
    pass(61);
    expect(await outcome(0)).toBe('OK');
  });

  test('of parallel sign-ins of one account over two replicas twenty succeed', async () => {
    const { signIn } = await startOffice(wire, 1);
    const { answers, errors } = await together((i) => signIn(i), 30);
    expect(answers).toHaveLength(20);
    expect(errors.map(reasonOf)).toEqual(Array(10).fill(over));
  });

  test('five failures a minute close an address for every account and on every replica, as before', async () => {
    const { outcome, pass } = await startOffice(wire, 4);
    expect(await outcome(3)).toBe('OK');
    for (let n = 0; n < 5; n++) expect(await outcome(n, 'a wrong password')).toBe('INVALID_CREDENTIALS');
    for (const n of [0, 1, 2, 3]) expect(await outcome(n), 'the right password').toBe(over);
    for (const n of [0, 1]) expect(await outcome(n, 'a wrong password')).toBe(over);
    expect(await outcome(0, password, '203.0.113.2')).toBe('OK');
    pass(61);
    expect(await outcome(0)).toBe('OK');
  });

  test('the right password is refused when parallel attempts have used up the budget of the address', async () => {
    const pause = new Pause('SignIn');
    const { service, outcome } = await startOffice(wire, 2, { inner: [pause.interceptor()] });
    const stopped = pause.next();
    const right = outcome(0);
    await stopped;
    for (let n = 0; n < 5; n++) expect(await outcome(1, 'a wrong password')).toBe('INVALID_CREDENTIALS');
    pause.resume();
    expect(await right).toBe(over);
    expect(await service.database.query('select id from sessions')).toEqual([]);
  });

  test('all sign-ins of an address together have a ceiling of twenty times the failures', async () => {
    const env = { LIMITS: '*=off,AuthService.SignIn=2', TRUSTED_PROXY_HOPS: '1' };
    const { outcome, pass } = await startOffice(wire, 4, { env });
    const outcomes: (string | undefined)[] = [];
    for (let n = 0; n < 44; n++) outcomes.push(await outcome(n));
    expect(outcomes.slice(0, 40)).toEqual(Array(40).fill('OK'));
    expect(outcomes.slice(40)).toEqual(Array(4).fill(over));
    pass(61);
    expect(await outcome(0)).toBe('OK');
  });

  test('LIMITS sets the number of sign-ins of one account', async () => {
    const env = { LIMITS: '*=off,AuthService.SignIn=5,AuthService.SignIn:success=2', TRUSTED_PROXY_HOPS: '1' };
    const { outcome } = await startOffice(wire, 1, { env });
    expect([await outcome(0), await outcome(1), await outcome(2)]).toEqual(['OK', 'OK', over]);
  });

  test('people behind one address sign in by links, and failures close the address for them as well', async () => {
    const env = { LIMITS: '*=off,AuthService.SignInWithMagicLink=3' };
    const { service, emails } = await startOffice(wire, 6, { env });
    const { auth } = service.clients(wire);
    const links: string[] = [];
    for (const email of emails) {
      await auth.requestMagicLink({ email });
      links.push(await tokenFor(service, email));
    }
    const open = (token: string, i = 0) =>
      service
        .clients(wire, i)
        .auth.signInWithMagicLink({ token })
        .then(() => 'OK', reasonOf);
    for (const [i, link] of links.slice(0, 5).entries()) expect(await open(link, i)).toBe('OK');
    for (let i = 0; i < 3; i++) expect(await open(links[0]!, i)).toBe('OTP_EXPIRED');
    for (const i of [0, 1]) expect(await open(links[5]!, i)).toBe(over);
    service.pass(61);
    expect(await open(links[5]!), 'the link was not used up').toBe('OK');
  });
});

test('of parallel guesses that include the right password no more than five learn a verdict', async () => {
  for (let round = 0; round < 5; round++) {
    const service = await start({ replicas: 2, env: contract });
    await service.clients('json').admin.createUser(ada, asService);
    await service.clients('json').admin.createUser(bob, asService);
    // The budget is used up in the middle of the crowd.
    const { answers, errors } = await together(
      (i) => service.clients('json', i).auth.signIn({ ...ada, password: i === 19 ? ada.password : 'a wrong password' }),
      20,
    );
    const verdicts = errors.map(reasonOf).filter((each) => each !== over);
    expect(verdicts).toEqual(Array(5).fill('INVALID_CREDENTIALS'));
    expect(answers.length).toBeLessThanOrEqual(1);
    expect(await refusalOf(service.clients('json', 1).auth.signIn(bob))).toMatchObject({ reason: over });
  }
});
