// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { dead, mailed, makeNonce, openToCodes, triesOf, unknown, unlimitedCalls, wrong } from '../support/codes.ts';
import { stranger } from '../support/failed-attempts.ts';
import { keepTrailUnsealed, ofCalls } from '../support/methods.ts';
import { ada } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { together } from '../support/race.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { scrape } from '../support/scrape.ts';
import { wires } from '../support/start.ts';

/** The contract's numbers, as docs/throttling.md has them. */
const perCode = 5;
const perAccount = 5;
const consecutive = 50;
const perNetwork = 30;
const perProject = 60;

const over = 'OVER_REQUEST_RATE_LIMIT';
const quarterHour = 15 * 60;
/** Leases of blocks, which are taken now and then, aside. */
const codesAlone = `${unlimitedCalls},AuthService.SignInWithMagicLink:network=off,AuthService.SignInWithMagicLink:project=off`;
/** Codes tried at once. Under the stricter isolation all but one of those that meet begin anew. */
const volley = process.env.ISOLATION ? 8 : 50;

describe.each(wires)('over %s', (wire) => {
  test('of all codes there are, tried at once, five are looked at, and then the right one is none either', async () => {
    const { service, ask, type, auth } = await openToCodes(wire, { env: { LIMITS: '*=off' } });
    const nonce = await ask();
    const { code, token } = await mailed(service);
    const { answers } = await together(
      (n) => type(wrong(code, n + 1), nonce, { from: stranger(n), replica: n }),
      volley,
    );
    expect(new Set(answers)).toEqual(new Set([dead]));
    expect(await triesOf(service)).toEqual([{ tries: perCode }]);
    expect(await type(code, nonce, { from: stranger(60) })).toBe(dead);
    await auth.signInWithMagicLink({ token });
  });

  test('the fifth try may be the right one, and a sixth is none', async () => {
    for (const tries of [perCode - 1, perCode]) {
      const { service, ask, type } = await openToCodes(wire, { env: { LIMITS: '*=off' } });
      const nonce = await ask();
      const { code } = await mailed(service);
      for (let n = 0; n < tries; n++) expect(await type(wrong(code, n + 1), nonce)).toBe(dead);
      expect(await type(code, nonce)).toBe(tries < perCode ? 'OK' : dead);
    }
  });

  test('nobody uses up tries but who has asked for the code', async () => {
    const { service, ask, type } = await openToCodes(wire);
    const nonce = await ask();
    const { code } = await mailed(service);
    for (let n = 0; n < 2 * perCode; n++)
      expect(await type(n % 2 ? code : wrong(code), makeNonce(), { from: stranger(n) })).toBe(dead);
    expect(await triesOf(service)).toEqual([{ tries: null }]);
    expect(await type(code, nonce)).toBe('OK');
  });

  test('new codes do not make the count begin anew, and a link forgets it', async () => {
    const { service, ask, type, auth } = await openToCodes(wire);
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
    const { service, ask, type, auth } = await openToCodes(wire);
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
    const { service, ask, enter } = await openToCodes(wire);
    const seen = [];
    for (const [n, email] of [ada.email, unknown].entries()) {
      const nonce = await ask(makeNonce(), email);
      const code = email === unknown ? '123456' : wrong((await mailed(service)).code);
      const refusals = [];
      for (let i = 0; i < perAccount + 2; i++)
        refusals.push(await refusalOf(enter(code, nonce, { email, from: stranger(n) })));
      seen.push(refusals);
    }
    expect(seen[0]).toEqual(seen[1]);
    const keys = await service.database.query<{ key: string }>('select key from rate_limits');
    expect(JSON.stringify(keys)).not.toMatch(/example\.org/);
  });

  test('neighbors who try codes are refused together, links aside', async () => {
    const { service, ask, type, auth } = await openToCodes(wire);
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
    const { service, ask, type, enter, auth } = await openToCodes(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    const miss = (n: number, replica: number) =>
      type('000000', makeNonce(), { email: `p${n}@example.org`, from: stranger(n), replica });
    const answers: unknown[] = [];
    for (let n = 0; n < perProject + 20; n += 8)
      answers.push(...(await together((i) => miss(n + i, i % 2), 8)).answers);
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

  test('in one volley, right codes among them, no more are compared than the project has left', async () => {
    const most = 5;
    const LIMITS = `${unlimitedCalls},AuthService.SignInWithMagicLink:project=${most}`;
    const { service, ask, type } = await openToCodes(wire, { env: { LIMITS } });
    const nonce = await ask();
    const { code } = await mailed(service);
    const usedUp = Promise.withResolvers<void>();
    const tryCode = async (n: number, clientNonce: string) => {
      const outcome = await type(code, clientNonce, { from: stranger(n) });
      if (outcome === over) usedUp.resolve();
      return outcome;
    };
    // The one that asked for the code comes when nothing is left, while others are still under way.
    const { answers } = await together(
      (n) => (n < volley - 1 ? tryCode(n, makeNonce()) : usedUp.promise.then(() => tryCode(n, nonce))),
      volley,
    );
    expect(answers.filter((each) => each !== over).length).toBeLessThanOrEqual(most);
    expect(await triesOf(service), 'not even tried').toEqual([{ tries: null }]);
  });

  test('right codes use up nothing, however many they are', async () => {
    const LIMITS = `${unlimitedCalls},AuthService.SignInWithMagicLink:network=1`;
    const { service, ask, type } = await openToCodes(wire, { env: { LIMITS, MAIL_GAP: '0s' } });
    for (let n = 0; n < perAccount + 2; n++) {
      const nonce = await ask();
      expect(await type((await mailed(service)).code, nonce)).toBe('OK');
    }
  });
});

test('a right code is none when others have used the counter of its address up by then', async () => {
  const { service, ask, type } = await openToCodes('json');
  const nonce = await ask();
  const { code } = await mailed(service);
  expect(await type(wrong(code), nonce)).toBe(dead);
  // As if they came between the look at the counter and the try.
  await service.database.query(
    `create function others() returns trigger language plpgsql as
     $$ begin update rate_limits set hits = ${perAccount} where key like 'code %'; return new; end $$`,
  );
  await service.database.query(
    'create trigger others before update on one_time_tokens for each row execute function others()',
  );
  expect(await type(code, nonce)).toBe(dead);
  await service.database.query('drop trigger others on one_time_tokens');
  expect(await triesOf(service)).toEqual([{ tries: 2 }]);
});

test('a try stays counted when the call fails afterwards', async () => {
  const { service, ask, enter } = await openToCodes('json');
  const nonce = await ask();
  const { code } = await mailed(service);
  await service.database.query(
    `create function fail() returns trigger language plpgsql as
     $$ begin raise exception 'the disk is full' using errcode = '53100'; end $$`,
  );
  await service.database.query('create trigger fail before insert on sessions execute function fail()');
  expect((await refusalOf(enter(code, nonce))).code).toBe(Code.Unavailable);
  expect(await triesOf(service)).toEqual([{ tries: 1 }]);
  const counted = `select key from rate_limits where hits = 1 and key like 'code%'`;
  expect(await service.database.query(counted)).toHaveLength(2);
});

// Under the stricter isolation one of them may begin anew.
test.skipIf(process.env.ISOLATION)('a wrong code costs the same statements whoever has the address', async () => {
  const proxy = await startProxy();
  const { service, ask, type } = await openToCodes('grpc', {
    databaseUrl: proxy.url,
    replicas: 1,
    env: { LIMITS: codesAlone },
  });
  const nonces = [await ask(), await ask(makeNonce(), unknown)] as const;
  const { code } = await mailed(service);
  await keepTrailUnsealed(service);
  const namesDuring = async (nonce: string, email: string) => {
    const before = proxy.statements.length;
    expect(await type(wrong(code), nonce, { email })).toBe(dead);
    return ofCalls(proxy.statements.slice(before)).map(({ name, text }) => name || text.slice(0, 24));
  };
  const known = await namesDuring(nonces[0], ada.email);
  expect(known.slice(0, 3)).toEqual(['guess_wait', 'one_time_try_code', 'guess_count']);
  expect(await namesDuring(nonces[1], unknown)).toEqual(known);
  for (let n = 1; n < perAccount; n++) await namesDuring(nonces[0], ada.email);
  expect(await namesDuring(nonces[0], ada.email), 'after too many').toEqual(known);
});
