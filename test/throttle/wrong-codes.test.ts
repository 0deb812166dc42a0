// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import {
  mailed,
  makeNonce,
  otherCode,
  refused,
  startForCodes,
  triesOf,
  unknownEmail,
  unlimitedCalls,
} from '../support/codes.ts';
import { unknownAddress } from '../support/failed-attempts.ts';
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
/** Without the budgets that are leased in blocks, which cost a statement now and then. */
const codesAlone = `${unlimitedCalls},AuthService.SignInWithMagicLink:network=off,AuthService.SignInWithMagicLink:project=off`;
/** Codes tried in parallel. With serializable transactions all but one of those that conflict are repeated. */
const volley = process.env.ISOLATION ? 8 : 50;

describe.each(wires)('over %s', (wire) => {
  test('of many codes tried at once five are compared, and then the right code is refused too', async () => {
    const { service, requestCode, tryCode, auth } = await startForCodes(wire, { env: { LIMITS: '*=off' } });
    const nonce = await requestCode();
    const { code, token } = await mailed(service);
    const { answers } = await together(
      (n) => tryCode(otherCode(code, n + 1), nonce, { from: unknownAddress(n), replica: n }),
      volley,
    );
    expect(new Set(answers)).toEqual(new Set([refused]));
    expect(await triesOf(service)).toEqual([{ tries: perCode }]);
    expect(await tryCode(code, nonce, { from: unknownAddress(60) })).toBe(refused);
    await auth.signInWithMagicLink({ token });
  });

  test('the right code is accepted as the fifth try, and refused as the sixth', async () => {
    for (const tries of [perCode - 1, perCode]) {
      const { service, requestCode, tryCode } = await startForCodes(wire, { env: { LIMITS: '*=off' } });
      const nonce = await requestCode();
      const { code } = await mailed(service);
      for (let n = 0; n < tries; n++) expect(await tryCode(otherCode(code, n + 1), nonce)).toBe(refused);
      expect(await tryCode(code, nonce)).toBe(tries < perCode ? 'OK' : refused);
    }
  });

  test('only the client that requested the code can use up its tries', async () => {
    const { service, requestCode, tryCode } = await startForCodes(wire);
    const nonce = await requestCode();
    const { code } = await mailed(service);
    for (let n = 0; n < 2 * perCode; n++)
      expect(await tryCode(n % 2 ? code : otherCode(code), makeNonce(), { from: unknownAddress(n) })).toBe(refused);
    expect(await triesOf(service)).toEqual([{ tries: null }]);
    expect(await tryCode(code, nonce)).toBe('OK');
  });

  test('new codes do not reset the count of wrong ones, and a sign-in by link does', async () => {
    const { service, requestCode, tryCode, auth } = await startForCodes(wire);
    const first = await requestCode();
    const { code } = await mailed(service);
    for (let n = 0; n < perAccount; n++)
      expect(await tryCode(otherCode(code, n + 1), first, { from: unknownAddress(n) })).toBe(refused);
    service.pass(61);
    const second = await requestCode();
    const { code: other, token } = await mailed(service);
    expect(await tryCode(other, second, { from: unknownAddress(9) }), 'the right one').toBe(refused);
    expect(await triesOf(service), 'is not compared').toEqual([{ tries: perCode }, { tries: null }]);
    await auth.signInWithMagicLink({ token });
    service.pass(61);
    const third = await requestCode();
    expect(await tryCode((await mailed(service)).code, third)).toBe('OK');
  });

  test('after fifty wrong codes in a row every code is refused for a month, however slowly they were tried', async () => {
    const { service, requestCode, tryCode, auth } = await startForCodes(wire);
    for (let round = 0; round < consecutive / perCode; round++) {
      const nonce = await requestCode();
      const { code } = await mailed(service);
      for (let n = 0; n < perCode; n++) expect(await tryCode(otherCode(code, n + 1), nonce)).toBe(refused);
      service.pass(quarterHour + 1);
    }
    service.pass(29 * 86_400);
    const late = await requestCode();
    const { code, token } = await mailed(service);
    expect(await tryCode(code, late)).toBe(refused);
    expect((await auth.signIn(ada)).session, 'passwords still work').toBeDefined();
    await auth.signInWithMagicLink({ token });
    service.pass(61);
    const nonce = await requestCode();
    expect(await tryCode((await mailed(service)).code, nonce)).toBe('OK');
  });

  test('refusals do not reveal whether an address is registered', async () => {
    const { service, requestCode, signIn } = await startForCodes(wire);
    const seen = [];
    for (const [n, email] of [ada.email, unknownEmail].entries()) {
      const nonce = await requestCode(makeNonce(), email);
      const code = email === unknownEmail ? '123456' : otherCode((await mailed(service)).code);
      const refusals = [];
      for (let i = 0; i < perAccount + 2; i++)
        refusals.push(await refusalOf(signIn(code, nonce, { email, from: unknownAddress(n) })));
      seen.push(refusals);
    }
    expect(seen[0]).toEqual(seen[1]);
    const keys = await service.database.query<{ key: string }>('select key from durable_rate_limits');
    expect(JSON.stringify(keys)).not.toMatch(/example\.org/);
  });

  test('neighboring addresses share one limit of wrong codes, and links still work', async () => {
    const { service, requestCode, tryCode, auth } = await startForCodes(wire);
    const nonce = await requestCode();
    const { code, token } = await mailed(service);
    for (let n = 0; n < perNetwork; n++)
      expect(await tryCode('000000', makeNonce(), { email: `p${n}@example.org`, from: `203.0.113.${n}` })).toBe(
        refused,
      );
    expect(await tryCode('000000', nonce, { email: unknownEmail, from: '203.0.113.99' })).toBe(over);
    expect(await tryCode(code, nonce, { from: '203.0.113.7' }), 'the right one').toBe(over);
    await auth.signInWithMagicLink({ token }, { headers: { 'x-forwarded-for': '203.0.113.7' } });
    service.pass(61);
    const other = await requestCode();
    expect(await tryCode((await mailed(service)).code, other)).toBe('OK');
  });

  test('wrong codes for many users from very many addresses reach the project’s limit, and lock nobody out', async () => {
    const { service, requestCode, tryCode, signIn, auth } = await startForCodes(wire);
    const nonce = await requestCode();
    const { code, token } = await mailed(service);
    const miss = (n: number, replica: number) =>
      tryCode('000000', makeNonce(), { email: `p${n}@example.org`, from: unknownAddress(n), replica });
    const answers: unknown[] = [];
    for (let n = 0; n < perProject + 20; n += 8)
      answers.push(...(await together((i) => miss(n + i, i % 2), 8)).answers);
    // A replica may still have a few leased attempts. It refuses all when it cannot lease more.
    for (let n = 100; (await miss(n, 0)) !== over; n++) answers.push(refused);
    const compared = answers.filter((each) => each === refused).length;
    expect(compared).toBeGreaterThan(perProject / 2);
    expect(compared).toBeLessThanOrEqual(perProject);
    const refusal = await refusalWithoutTrace(service.database, () => signIn(code, nonce));
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeLessThanOrEqual(60);
    const counts = (await scrape(service.replicas[0]!)).by('result', 'gatehouse_codes_refused_total');
    expect(counts.project_limited, 'for the alert').toBeGreaterThanOrEqual(2);
    // Each kind of attempt has a limit of its own.
    await auth.signIn(ada, { headers: { 'x-forwarded-for': unknownAddress(0) } });
    await auth.signInWithMagicLink({ token });
    service.pass(61);
    const other = await requestCode();
    expect(await tryCode((await mailed(service)).code, other), 'a minute later').toBe('OK');
  });

  test('of parallel attempts no more codes are compared than the project has left', async () => {
    const most = 5;
    const LIMITS = `${unlimitedCalls},AuthService.SignInWithMagicLink:project=${most}`;
    const { service, requestCode, tryCode } = await startForCodes(wire, { env: { LIMITS } });
    const nonce = await requestCode();
    const { code } = await mailed(service);
    const { answers } = await together(
      (n) => tryCode(code, n === volley - 1 ? nonce : makeNonce(), { from: unknownAddress(n) }),
      volley,
    );
    expect(answers.filter((each) => each === refused).length).toBeLessThanOrEqual(most);
    // The right code is in the last call. Repeated transactions can let it overtake others, and then there may be room.
    const hasRoom = process.env.ISOLATION && answers.at(-1) === 'OK';
    expect(await triesOf(service), 'not compared without room').toEqual([{ tries: hasRoom ? 1 : null }]);
    if (!hasRoom) expect(answers.at(-1)).toBe(over);
  });

  test('right codes do not count as failures', async () => {
    const LIMITS = `${unlimitedCalls},AuthService.SignInWithMagicLink:network=1`;
    const { service, requestCode, tryCode } = await startForCodes(wire, { env: { LIMITS, MAIL_GAP: '0s' } });
    for (let n = 0; n < perAccount + 2; n++) {
      const nonce = await requestCode();
      expect(await tryCode((await mailed(service)).code, nonce)).toBe('OK');
    }
  });
});

test('the right code is refused when parallel attempts have used up its address’s counter', async () => {
  const { service, requestCode, tryCode } = await startForCodes('json');
  const nonce = await requestCode();
  const { code } = await mailed(service);
  expect(await tryCode(otherCode(code), nonce)).toBe(refused);
  // As if they came between the read of the counter and the try.
  await service.database.query(
    `create function others() returns trigger language plpgsql as
     $$ begin update durable_rate_limits set hits = ${perAccount} where key like 'code recent %'; return new; end $$`,
  );
  await service.database.query(
    'create trigger others before update on one_time_tokens for each row execute function others()',
  );
  expect(await tryCode(code, nonce)).toBe(refused);
  await service.database.query('drop trigger others on one_time_tokens');
  expect(await triesOf(service)).toEqual([{ tries: 2 }]);
});

test('a try stays counted when the call fails afterwards', async () => {
  const { service, requestCode, signIn } = await startForCodes('json');
  const nonce = await requestCode();
  const { code } = await mailed(service);
  await service.database.query(
    `create function fail() returns trigger language plpgsql as
     $$ begin raise exception 'the disk is full' using errcode = '53100'; end $$`,
  );
  await service.database.query('create trigger fail before insert on sessions execute function fail()');
  expect((await refusalOf(signIn(code, nonce))).code).toBe(Code.Unavailable);
  expect(await triesOf(service)).toEqual([{ tries: 1 }]);
  const counted = `select key from durable_rate_limits where hits = 1 and key ~ '^code (recent|streak) '`;
  expect(await service.database.query(counted)).toHaveLength(2);
});

// With serializable transactions one of the calls may be repeated, which costs further statements.
test.skipIf(process.env.ISOLATION)(
  'a wrong code costs the same statements for known and unknown addresses',
  async () => {
    const proxy = await startProxy();
    const { service, requestCode, tryCode } = await startForCodes('grpc', {
      databaseUrl: proxy.url,
      replicas: 1,
      env: { LIMITS: codesAlone },
    });
    const nonces = [await requestCode(), await requestCode(makeNonce(), unknownEmail)] as const;
    const { code } = await mailed(service);
    await keepTrailUnsealed(service);
    const namesDuring = async (nonce: string, email: string) => {
      const before = proxy.statements.length;
      expect(await tryCode(otherCode(code), nonce, { email })).toBe(refused);
      return ofCalls(proxy.statements.slice(before)).map(({ name, text }) => name || text.slice(0, 24));
    };
    const known = await namesDuring(nonces[0], ada.email);
    expect(known.slice(0, 4)).toEqual([
      'user_by_email',
      'failed_attempts_wait',
      'one_time_try_code',
      'failed_attempts_count',
    ]);
    expect(await namesDuring(nonces[1], unknownEmail)).toEqual(known);
    for (let n = 1; n < perAccount; n++) await namesDuring(nonces[0], ada.email);
    expect(await namesDuring(nonces[0], ada.email), 'after too many').toEqual(known);
  },
);
