import { randomBytes } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../gen/gatehouse/v1/policy_pb.ts';
import { stranger } from './guesses.ts';
import { lastMail, mailsTo } from './inbox.ts';
import { ada, asService } from './people.ts';
import { Barrier, together } from './race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from './refusal.ts';
import { scrape } from './scrape.ts';
import { bearer, type StartOptions, start, type TestService, type Wire, wires } from './start.ts';

/** The contract's numbers, as docs/throttling.md has them. */
const perCode = 5;
const perAccount = 5;
const consecutive = 50;
const perNetwork = 30;
const perProject = 60;

const unlimitedCalls = 'AuthService.SignInWithMagicLink=off,AuthService.RequestMagicLink=off';
const quarterHour = 15 * 60;
const dead = 'OTP_EXPIRED';
const over = 'OVER_REQUEST_RATE_LIMIT';
const unknown = 'nobody@example.org';

const makeNonce = () => randomBytes(16).toString('base64url');

/** Two replicas, ada with a proved address, and ways to ask for codes and to type them. */
async function open(wire: Wire, { env, ...options }: StartOptions = {}) {
  const service = await start({
    replicas: 2,
    env: { LIMITS: unlimitedCalls, TRUSTED_PROXY_HOPS: '1', MAIL_HOURLY_LIMIT: '1000', ...env },
    ...options,
  });
  await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
  const ask = async (clientNonce = makeNonce(), email = ada.email) => {
    await service.clients(wire).auth.requestMagicLink({ email, clientNonce });
    return clientNonce;
  };
  const enter = (
    code: string,
    clientNonce: string,
    { email = ada.email, from = '203.0.113.7', replica = 0 }: { email?: string; from?: string; replica?: number } = {},
  ) => {
    const options = { headers: { 'x-forwarded-for': from } };
    return service.clients(wire, replica).auth.signInWithMagicLink({ code: { email, code, clientNonce } }, options);
  };
  type Where = Parameters<typeof enter>[2];
  /** How it ends. */
  const type = (code: string, nonce: string, where?: Where) => enter(code, nonce, where).then(() => 'OK', reasonOf);
  return { service, ask, enter, type, auth: service.clients(wire).auth };
}

async function mailed(service: TestService) {
  const { text, token } = await lastMail(service, ada.email);
  return { code: /^\d{6}$/m.exec(text)![0], token };
}

const wrong = (code: string, n = 1) => `${(Number(code) + n) % 1_000_000}`.padStart(6, '0');

const triesOf = ({ database }: TestService) =>
  database.query<{ tries: number | null }>('select code_tries as tries from one_time_tokens order by created_at');

describe.each(wires)('over %s', (wire) => {
  test('a code signs in once, where it was asked for, and takes the link of its mail along', async () => {
    const { service, ask, enter, type, auth } = await open(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    const { user, session, tokens } = await enter(code, nonce, { email: ' ADA@example.org ' });
    expect(user).toMatchObject({ email: ada.email });
    expect(session).toMatchObject({ aal: AssuranceLevel.AAL1, amr: [{ method: 'otp' }] });
    await auth.getMe({}, bearer(tokens!));
    expect(await refusalWithoutTrace(service.database, () => enter(code, nonce))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: dead,
      message: 'Token has expired or is invalid',
    });
    expect((await refusalOf(auth.signInWithMagicLink({ token }))).reason).toBe(dead);
    expect(await type(code, makeNonce())).toBe(dead);
  });

  test('the link of a mail with a code signs in, and takes the code along', async () => {
    const { service, ask, type, auth } = await open(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    expect((await auth.signInWithMagicLink({ token })).session!.amr).toMatchObject([{ method: 'magiclink' }]);
    expect(await type(code, nonce)).toBe(dead);
  });

  test('of all codes there are, tried at once, five are looked at, and then the right one is none either', async () => {
    const { service, ask, type, auth } = await open(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    const { answers } = await together((n) => type(wrong(code, n + 1), nonce, { from: stranger(n), replica: n }), 50);
    expect(new Set(answers)).toEqual(new Set([dead]));
    expect(await triesOf(service)).toEqual([{ tries: perCode }]);
    service.pass(quarterHour - 6 * 60);
    expect(await type(code, nonce, { from: stranger(60) })).toBe(dead);
    await auth.signInWithMagicLink({ token });
  });

  test('the fifth try may be the right one, and a sixth is none', async () => {
    for (const tries of [perCode - 1, perCode]) {
      const { service, ask, type } = await open(wire, { env: { LIMITS: '*=off' } });
      const nonce = await ask();
      const { code } = await mailed(service);
      for (let n = 0; n < tries; n++) expect(await type(wrong(code, n + 1), nonce)).toBe(dead);
      expect(await type(code, nonce)).toBe(tries < perCode ? 'OK' : dead);
    }
  });

  test('nobody uses up tries but who has asked for the code', async () => {
    const { service, ask, type } = await open(wire);
    const nonce = await ask();
    const { code } = await mailed(service);
    for (let n = 0; n < 2 * perCode; n++)
      expect(await type(n % 2 ? code : wrong(code), makeNonce(), { from: stranger(n) })).toBe(dead);
    expect(await triesOf(service)).toEqual([{ tries: null }]);
    expect(await type(code, nonce)).toBe('OK');
  });

  test('a code is good for its own address, its time, and until a newer one is sent', async () => {
    const { service, ask, type } = await open(wire);
    const nonce = await ask();
    const { code: old } = await mailed(service);
    expect(await type(old, nonce, { email: unknown })).toBe(dead);
    expect(await ask(nonce), 'again within the gap: there is no other mail').toBe(nonce);
    expect(await mailsTo(service, ada.email)).toHaveLength(1);
    service.pass(61);
    await ask(nonce);
    const { code } = await mailed(service);
    if (code !== old) expect(await type(old, nonce)).toBe(dead);
    expect(await type(code, nonce)).toBe('OK');
    service.pass(61);
    const later = await ask();
    const { code: late } = await mailed(service);
    service.pass(10 * 60 + 1);
    expect(await type(late, later)).toBe(dead);
  });

  test('new codes do not make the count begin anew, and a link forgets it', async () => {
    const { service, ask, type, auth } = await open(wire);
    const first = await ask();
    const { code } = await mailed(service);
    for (let n = 0; n < perAccount; n++)
      expect(await type(wrong(code, n + 1), first, { from: stranger(n) })).toBe(dead);
    service.pass(61);
    const second = await ask();
    const { code: other, token } = await mailed(service);
    expect(await type(other, second, { from: stranger(9) }), 'the right one').toBe(dead);
    expect(await triesOf(service), 'is not even tried').toEqual([{ tries: perCode }, { tries: null }]);
    await auth.signInWithMagicLink({ token });
    service.pass(61);
    const third = await ask();
    expect(await type((await mailed(service)).code, third)).toBe('OK');
  });

  test('after fifty wrong codes without a success there is none for a month, however slowly they came', async () => {
    const { service, ask, type, auth } = await open(wire);
    for (let round = 0; round < consecutive / perCode; round++) {
      const nonce = await ask();
      const { code } = await mailed(service);
      for (let n = 0; n < perCode; n++) expect(await type(wrong(code, n + 1), nonce)).toBe(dead);
      service.pass(quarterHour + 1);
    }
    service.pass(29 * 86_400);
    const late = await ask();
    const { code, token } = await mailed(service);
    expect(await type(code, late)).toBe(dead);
    expect((await auth.signIn(ada)).session, 'a password is another matter').toBeDefined();
    await auth.signInWithMagicLink({ token });
    service.pass(61);
    const nonce = await ask();
    expect(await type((await mailed(service)).code, nonce)).toBe('OK');
  });

  test('nothing tells an address that nobody has from one that somebody has', async () => {
    const { service, ask, enter } = await open(wire);
    const seen = [];
    for (const [n, email] of [ada.email, unknown].entries()) {
      const nonce = await ask(makeNonce(), email);
      const refusals = [];
      for (let i = 0; i < perAccount + 2; i++)
        refusals.push(await refusalOf(enter('000000', nonce, { email, from: stranger(n) })));
      seen.push(refusals);
    }
    expect(seen[0]).toEqual(seen[1]);
    const keys = await service.database.query<{ key: string }>('select key from rate_limits');
    expect(JSON.stringify(keys)).not.toMatch(/example\.org/);
  });

  test('neighbors who try codes are refused together, links aside', async () => {
    const { service, ask, type, auth } = await open(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    for (let n = 0; n < perNetwork; n++)
      expect(await type('000000', makeNonce(), { email: `p${n}@example.org`, from: `203.0.113.${n}` })).toBe(dead);
    expect(await type('000000', nonce, { email: unknown, from: '203.0.113.99' })).toBe(over);
    expect(await type(code, nonce, { from: '203.0.113.7' }), 'the right one').toBe(over);
    await auth.signInWithMagicLink({ token }, { headers: { 'x-forwarded-for': '203.0.113.7' } });
    service.pass(61);
    const other = await ask();
    expect(await type((await mailed(service)).code, other)).toBe('OK');
  });

  test('whoever tries codes of many from very many addresses trips the breaker, and locks nobody out', async () => {
    const { service, ask, type, enter, auth } = await open(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    const miss = (n: number, replica: number) =>
      type('000000', makeNonce(), { email: `p${n}@example.org`, from: stranger(n), replica });
    const { answers } = await together((n) => miss(n, n % 2), perProject + 20);
    // A replica may hold a few that it has leased, and closes when it is refused more.
    for (let n = 100; (await miss(n, 0)) !== over; n++) answers.push(dead);
    const told = answers.filter((each) => each === dead).length;
    expect(told).toBeGreaterThan(perProject / 2);
    expect(told).toBeLessThanOrEqual(perProject);
    const refusal = await refusalWithoutTrace(service.database, () => enter(code, nonce));
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeLessThanOrEqual(60);
    const counts = (await scrape(service.replicas[0]!)).by('result', 'gatehouse_codes_refused_total');
    expect(counts.project_limited, 'for the alert').toBeGreaterThanOrEqual(2);
    await auth.signInWithMagicLink({ token });
    await auth.signIn(ada);
    service.pass(61);
    const other = await ask();
    expect(await type((await mailed(service)).code, other), 'a minute later').toBe('OK');
  });

  test('whoever first proves a mailbox by a code leaves nothing to who registered it before', async () => {
    const { service, enter, auth } = await open(wire);
    const email = 'victim@example.org';
    await auth.register({ email, password: ada.password });
    const attacker = await service.signIn({ email, password: ada.password });
    const clientNonce = makeNonce();
    await auth.requestMagicLink({ email, clientNonce });
    const { text } = await lastMail(service, email);
    await enter(/^\d{6}$/m.exec(text)![0], clientNonce, { email });
    expect((await refusalOf(auth.getMe({}, attacker.as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.signIn({ email, password: ada.password }))).reason).toBe('INVALID_CREDENTIALS');
  });

  test('nothing but six digits and a long enough nonce is a code', async () => {
    const { ask, type, auth } = await open(wire);
    const nonce = await ask();
    for (const code of ['', '12345', '1234567', '12345a', ' 12345', '１２３４５６', '-12345'])
      expect(await type(code, nonce), code).toBe('INVALID_ARGUMENT');
    for (const bad of ['', 'short', 'x'.repeat(65), `${'x'.repeat(22)}!`])
      expect(await type('123456', bad), bad).toBe('INVALID_ARGUMENT');
    expect(await reasonOf(await ask('short').catch((error) => error))).toBe('INVALID_ARGUMENT');
    const code = { email: ada.email, code: '123456', clientNonce: nonce };
    expect((await refusalOf(auth.signInWithMagicLink({ code, token: 'x' }))).reason).toBe('INVALID_ARGUMENT');
  });
});

test.each(wires)('over %s: of twenty sign-ins with one code and its link one succeeds', async (wire) => {
  const barrier = new Barrier('SignInWithMagicLink');
  const { service, ask, enter, auth } = await open(wire, { inner: [barrier.interceptor()] });
  const nonce = await ask();
  const { code, token } = await mailed(service);
  barrier.expect(perCode * 2);
  const { answers, errors } = await together(
    (n) => (n % 2 ? auth.signInWithMagicLink({ token }) : enter(code, nonce, { replica: n })),
    perCode * 2,
  );
  expect(answers).toHaveLength(1);
  for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe(dead);
  expect(await service.database.query('select from sessions')).toHaveLength(1);
});

test('a wrong code stays counted when the call that tried it fails otherwise', async () => {
  const { service, ask, enter } = await open('json', {
    env: { LIMITS: `${unlimitedCalls},AuthService.SignInWithMagicLink:network=1` },
  });
  const nonce = await ask();
  const { code } = await mailed(service);
  for (const reason of [dead, over]) expect((await refusalOf(enter(wrong(code), nonce))).reason).toBe(reason);
  expect(await triesOf(service)).toEqual([{ tries: 2 }]);
});
