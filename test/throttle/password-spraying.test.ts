import { readFileSync } from 'node:fs';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { contract, startForAttempts, unknownAddress } from '../support/failed-attempts.ts';
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
  test('neighboring addresses that try one password on many accounts share one limit, and known networks are not affected', async () => {
    const { service, signIn, tryWrong, tryRight } = await startForAttempts(wire);
    await signIn(home);
    for (let n = 0; n < byContract.perNetwork; n++)
      expect(await tryWrong(`203.0.113.${100 + n}`, `p${n}@example.org`)).toBe(wrong);
    // Each replica refuses from memory once it was refused a lease.
    for (const replica of [0, 1]) expect(await tryWrong('203.0.113.99', `q${replica}@example.org`, replica)).toBe(over);
    const refusal = await refusalOf(signIn('203.0.113.8'));
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeLessThanOrEqual(60);
    expect(await tryWrong('203.0.113.8', ada.email, 1), 'on every replica').toBe(over);
    expect(await tryRight(home)).toBe('OK');
    expect(await tryWrong('203.0.114.8')).toBe(wrong);
    service.pass(61);
    expect(await tryRight('203.0.113.8')).toBe('OK');
  });

  test('neighboring IPv6 addresses are those of a /48', async () => {
    const { tryWrong } = await startForAttempts(wire, {
      env: { ...contract, LIMITS: '*=off,AuthService.SignIn:network=2' },
    });
    for (const address of ['2001:db8:1:2::1', '2001:db8:1:ffff::1']) expect(await tryWrong(address)).toBe(wrong);
    expect(await tryWrong('2001:db8:1:3::1')).toBe(over);
    expect(await tryWrong('2001:db8:2:2::1')).toBe(wrong);
  });

  test('one password tried on very many accounts from very many addresses reaches the project’s limit, and locks nobody out', async () => {
    // The contract's number over one protocol only, since a thousand attempts take a while.
    const perProject = wire === 'json' ? byContract.perProject : 120;
    const LIMITS = `AuthService.SignIn=off${wire === 'json' ? '' : `,AuthService.SignIn:project=${perProject}`}`;
    const { service, signIn, tryWrong, tryRight } = await startForAttempts(wire, { env: { ...contract, LIMITS } });
    await signIn(home);
    const reasons: unknown[] = [];
    for (let n = 0; n < perProject + 80; n += 40)
      reasons.push(
        ...(await Promise.all(
          Array.from({ length: 40 }, (_, i) => tryWrong(unknownAddress(n + i), `p${n + i}@example.org`, (n + i) % 2)),
        )),
      );
    expect(reasons.filter((each) => each === wrong)).toHaveLength(perProject);
    expect(reasons.filter((each) => each === over)).toHaveLength(80);
    const refusal = await refusalOf(signIn('198.51.100.8'));
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted, reason: over });
    expect(refusal.retryAfter).toBeGreaterThan(0);
    expect(refusal.retryAfter).toBeLessThanOrEqual(60);
    expect(await tryRight(home), 'from a known network').toBe('OK');
    service.pass(61);
    expect(await tryRight('198.51.100.8'), 'no account is locked').toBe('OK');
  }, 120_000);
});

test('each kind of refusal has its own metric, and the response does not reveal the kind', async () => {
  const { service, tryWrong } = await startForAttempts('json', {
    replicas: 1,
    env: {
      ...contract,
      LIMITS: '*=off,AuthService.SignIn:account=2,AuthService.SignIn:network=4,AuthService.SignIn:project=6',
    },
  });
  const calls = [...[1, 2, 3].map(() => ada.email), ...['c', 'd', 'e', 'f'].map((each) => `${each}@example.org`)].map(
    (email) => () => tryWrong(home, email),
  );
  const elsewhere = [0, 1, 2, 3].map((n) => () => tryWrong(unknownAddress(n), `${n}@example.org`));
  const reasons = [];
  for (const call of [...calls, ...elsewhere]) reasons.push(await call());
  expect(reasons).toEqual([wrong, wrong, over, wrong, wrong, over, over, wrong, wrong, over, over]);
  const counts = (await scrape(service.replicas[0]!)).by('outcome', 'gatehouse_sign_ins_total');
  expect(counts).toMatchObject({ account_limited: 1, network_limited: 2, project_limited: 2, limited: 0 });
});

// With serializable transactions one of the calls may be repeated, which costs further statements.
test.skipIf(process.env.ISOLATION)(
  'a wrong password costs the same statements for known and unknown addresses, and a single one above the limit',
  async () => {
    const proxy = await startProxy();
    // Without the budgets that are leased in blocks, which cost a statement now and then.
    const LIMITS = 'AuthService.SignIn=off,AuthService.SignIn:network=off,AuthService.SignIn:project=off';
    const options = { databaseUrl: proxy.url, replicas: 1, env: { ...contract, LIMITS } };
    const { service, tryWrong } = await startForAttempts('grpc', options);
    // The transactions that seal audit events look like those of calls. Without the queue there are none.
    await service.database.query('alter table audit_events disable trigger audit_events_queue');
    const unsealed = () => service.database.query('select from audit_unsealed');
    await expect.poll(unsealed, { timeout: 5000 }).toEqual([]);
    const namesDuring = async (call: () => Promise<unknown>) => {
      const before = proxy.statements.length;
      await call();
      return ofCalls(proxy.statements.slice(before)).map(({ name, text }) => name || text.slice(0, 24));
    };
    const known = await namesDuring(() => tryWrong(home));
    expect(known).toEqual(['sign_in_look_up', 'failed_attempts_count', 'begin', 'insert_audit_events', 'commit']);
    expect(await namesDuring(() => tryWrong(home, 'nobody@example.org'))).toEqual(known);
    for (let n = 0; n < 9; n++) await tryWrong(unknownAddress(n));
    expect(await namesDuring(() => tryWrong('198.51.100.8'))).toEqual(['sign_in_look_up']);
  },
);

test.each(['AuthService.GetMe:account=5', 'AuthService.SignIn:target=5'])(
  'no replica starts with %s, which the contract does not have',
  async (limits) => {
    const message = limits.includes('target') ? 'LIMITS' : 'AuthService.GetMe:account';
    await expect(start({ env: { LIMITS: limits } })).rejects.toThrow(message);
  },
);

test('docs/throttling.md has the numbers of the contract', () => {
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
