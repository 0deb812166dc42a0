import { readFileSync } from 'node:fs';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { contract, openToGuesses, stranger } from '../support/failed-attempts.ts';
import { ofCalls } from '../support/methods.ts';
import { ada } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { scrape } from '../support/scrape.ts';
import { start, wires } from '../support/start.ts';

/** The contract's numbers, as docs/throttling.md has them. */
const byContract = { perNetwork: 60, perProject: 1000 };

const home = '203.0.113.7';
const wrong = 'INVALID_CREDENTIALS';
const over = 'OVER_REQUEST_RATE_LIMIT';

describe.each(wires)('over %s', (wire) => {
  test('neighbors who try one password on many accounts are refused together, but for whom is known there', async () => {
    const { service, signIn, guess, enter } = await openToGuesses(wire);
    await signIn(home);
    for (let n = 0; n < byContract.perNetwork; n++)
      expect(await guess(`203.0.113.${100 + n}`, `p${n}@example.org`)).toBe(wrong);
    // A replica holds it closed once it has been refused itself.
    for (const replica of [0, 1]) expect(await guess('203.0.113.99', `q${replica}@example.org`, replica)).toBe(over);
    const refusal = await refusalOf(signIn('203.0.113.8'));
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeLessThanOrEqual(60);
    expect(await guess('203.0.113.8', ada.email, 1), 'on every replica').toBe(over);
    expect(await enter(home)).toBe('OK');
    expect(await guess('203.0.114.8')).toBe(wrong);
    service.pass(61);
    expect(await enter('203.0.113.8')).toBe('OK');
  });

  test('in IPv6 neighbors are those of a /48', async () => {
    const { guess } = await openToGuesses(wire, { env: { ...contract, LIMITS: '*=off,AuthService.SignIn:network=2' } });
    for (const address of ['2001:db8:1:2::1', '2001:db8:1:ffff::1']) expect(await guess(address)).toBe(wrong);
    expect(await guess('2001:db8:1:3::1')).toBe(over);
    expect(await guess('2001:db8:2:2::1')).toBe(wrong);
  });

  test('one password on very many accounts from very many addresses is stopped, and locks nobody out', async () => {
    // The contract's thousand over one wire is enough: it takes a while.
    const perProject = wire === 'json' ? byContract.perProject : 120;
    const LIMITS = `AuthService.SignIn=off${wire === 'json' ? '' : `,AuthService.SignIn:project=${perProject}`}`;
    const { service, signIn, guess, enter } = await openToGuesses(wire, { env: { ...contract, LIMITS } });
    await signIn(home);
    const told: unknown[] = [];
    for (let n = 0; n < perProject + 80; n += 40)
      told.push(
        ...(await Promise.all(
          Array.from({ length: 40 }, (_, i) => guess(stranger(n + i), `p${n + i}@example.org`, (n + i) % 2)),
        )),
      );
    expect(told.filter((each) => each === wrong)).toHaveLength(perProject);
    expect(told.filter((each) => each === over)).toHaveLength(80);
    const refusal = await refusalOf(signIn('198.51.100.8'));
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeGreaterThan(0);
    expect(refusal.retryAfter).toBeLessThanOrEqual(60);
    expect(await enter(home), 'where the user is known').toBe('OK');
    service.pass(61);
    expect(await enter('198.51.100.8'), 'no account is locked').toBe('OK');
  }, 120_000);
});

test('each kind of refusal is counted by itself, for operators alone', async () => {
  const { service, guess } = await openToGuesses('json', {
    replicas: 1,
    env: {
      ...contract,
      LIMITS: '*=off,AuthService.SignIn:account=2,AuthService.SignIn:network=4,AuthService.SignIn:project=6',
    },
  });
  const calls = [...[1, 2, 3].map(() => ada.email), ...['c', 'd', 'e', 'f'].map((each) => `${each}@example.org`)].map(
    (email) => () => guess(home, email),
  );
  const elsewhere = [0, 1, 2, 3].map((n) => () => guess(stranger(n), `${n}@example.org`));
  const reasons = [];
  for (const call of [...calls, ...elsewhere]) reasons.push(await call());
  expect(reasons).toEqual([wrong, wrong, over, wrong, wrong, over, over, wrong, wrong, over, over]);
  const counts = (await scrape(service.replicas[0]!)).by('outcome', 'gatehouse_sign_ins_total');
  expect(counts).toMatchObject({ account_limited: 1, network_limited: 2, project_limited: 2, limited: 0 });
});

// Under the stricter isolation one of them may begin anew.
test.skipIf(process.env.ISOLATION)(
  'a wrong password costs the same statements whoever it is for, and one once there were too many',
  async () => {
    const proxy = await startProxy();
    // Leases of blocks, which are taken now and then, aside.
    const LIMITS = 'AuthService.SignIn=off,AuthService.SignIn:network=off,AuthService.SignIn:project=off';
    const options = { databaseUrl: proxy.url, replicas: 1, env: { ...contract, LIMITS } };
    const { service, guess } = await openToGuesses('grpc', options);
    // The transactions that seal events begin and commit like those of calls. Without a queue there are none.
    await service.database.query('alter table audit_events disable trigger audit_events_queue');
    const unsealed = () => service.database.query('select from audit_unsealed');
    await expect.poll(unsealed, { timeout: 5000 }).toEqual([]);
    const namesDuring = async (call: () => Promise<unknown>) => {
      const before = proxy.statements.length;
      await call();
      return ofCalls(proxy.statements.slice(before)).map(({ name, text }) => name || text.slice(0, 24));
    };
    const known = await namesDuring(() => guess(home));
    expect(known).toEqual(['sign_in_look_up', 'failed_attempts_count', 'begin', 'insert into "audit_event', 'commit']);
    expect(await namesDuring(() => guess(home, 'nobody@example.org'))).toEqual(known);
    for (let n = 0; n < 9; n++) await guess(stranger(n));
    expect(await namesDuring(() => guess('198.51.100.8'))).toEqual(['sign_in_look_up']);
  },
);

test.each(['AuthService.GetMe:account=5', 'AuthService.SignIn:target=5'])(
  'no replica starts with %s: only what has such a number can be given another',
  async (limits) => {
    const message = limits.includes('target') ? 'LIMITS' : 'AuthService.GetMe:account';
    await expect(start({ env: { LIMITS: limits } })).rejects.toThrow(message);
  },
);

test('the numbers of docs/throttling.md are those of the contract', () => {
  const tables = readFileSync('docs/throttling.md', 'utf8').matchAll(
    /<!-- failures:begin -->(.*?)<!-- failures:end -->/gs,
  );
  const documented = [...tables].flatMap(([, table = '']) =>
    [...table.matchAll(/\| (\d+) \|.*`AuthService\.(\w+:\w+)` \|$/gm)].map(([, number, name]) => [
      name,
      Number(number),
    ]),
  );
  const { signIn, signInWithMagicLink } = AuthService.method;
  const passwords = policyOf(signIn)!.failureLimits!;
  const codes = policyOf(signInWithMagicLink)!.failureLimits!;
  expect(documented).toEqual([
    ['SignIn:account', passwords.perAccount],
    ['SignIn:account', passwords.perAccount],
    ['SignIn:consecutive', passwords.consecutive],
    ['SignIn:consecutive', passwords.consecutive],
    ['SignIn:network', passwords.perNetwork],
    ['SignIn:project', passwords.perProject],
    ['SignInWithMagicLink:account', codes.perAccount],
    ['SignInWithMagicLink:consecutive', codes.consecutive],
    ['SignInWithMagicLink:network', codes.perNetwork],
    ['SignInWithMagicLink:project', codes.perProject],
  ]);
});
