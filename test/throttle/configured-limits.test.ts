// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob } from '../support/people.ts';
import { crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace, type SeenRefusal } from '../support/refusal.ts';
import { bearer, type Clients, start, type TestService, wires } from '../support/start.ts';

/** The contract's numbers apply to all methods but this one. */
const contract = { LIMITS: 'AuthService.SignUpAnonymous=off' };

type Call = (clients: Clients, count: number) => Promise<unknown>;

const register: Call = ({ auth }, count) => auth.register({ ...ada, email: `ada${count}@example.org` });
const wrongPassword: Call = ({ auth }) => auth.signIn({ ...ada, password: 'a wrong password' });

/**
 * The refusal of the first call beyond the budget. The calls before may fail, but not because of the budget. All but the
 * first are made after 40 seconds of the minute.
 */
async function overspend(service: TestService, call: Call, limit: number, clients: (count: number) => Clients) {
  for (let count = 1; count <= limit; count++) {
    const reason = await call(clients(count), count).then(() => 'OK', reasonOf);
    expect(reason, `call ${count}`).not.toBe('OVER_REQUEST_RATE_LIMIT');
    if (count === 1) service.pass(40);
  }
  return refusalWithoutTrace(service.database, () => call(clients(limit + 1), limit + 1));
}

function expectOverLimit(refusal: SeenRefusal): void {
  expect(refusal).toMatchObject({ code: Code.ResourceExhausted, reason: 'OVER_REQUEST_RATE_LIMIT' });
  expect(refusal.retryAfter).toBeGreaterThan(0);
  expect(refusal.retryAfter).toBeLessThanOrEqual(60);
  expect(refusal.retryAfterHeader).toBe(`${Math.ceil(refusal.retryAfter!)}`);
}

describe.each(wires)('over %s', (wire) => {
  test.each([
    ['fourth registration', register, 3],
    ['sixth sign-in, even after five failures,', wrongPassword, 5],
  ])('the %s within a minute is refused on every replica until the minute has ended', async (_, call, limit) => {
    const service = await start({ env: contract, replicas: 2 });
    const refusal = await overspend(service, call, limit, (count) => service.clients(wire, count));
    expectOverLimit(refusal);
    expect(refusal.retryAfter, 'the minute began with the first call').toBeLessThanOrEqual(20);
    for (const replica of [0, 1]) expectOverLimit(await refusalOf(call(service.clients(wire, replica), 20)));
    service.pass(refusal.retryAfter! - 1);
    expect((await refusalOf(call(service.clients(wire), 21))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
    service.pass(1.1);
    for (const replica of [0, 1]) {
      const reason = await call(service.clients(wire, replica), 30 + replica).then(() => 'OK', reasonOf);
      expect(['OK', 'INVALID_CREDENTIALS']).toContain(reason);
    }
  });

  test('the right password is refused as well once the budget is used up', async () => {
    const service = await start({ env: contract });
    await service.clients('json').admin.createUser(ada, asService);
    await overspend(service, wrongPassword, 5, () => service.clients(wire));
    expectOverLimit(await refusalOf(service.clients(wire).auth.signIn(ada)));
  });

  test('the eleventh refresh of a session within a minute is refused on every replica, and the session stays live', async () => {
    const service = await start({ env: contract, replicas: 2 });
    const guest = await service.guest();
    let { tokens } = guest;
    let parent = '';
    const refresh = async (refreshToken: string, replica = 0) =>
      (await service.clients(wire, replica).sessions.refresh({ refreshToken })).tokens!;
    for (let count = 1; count <= 10; count++) {
      parent = tokens.refreshToken;
      tokens = await refresh(tokens.refreshToken, count);
    }
    for (const replica of [0, 1]) {
      const eleventh = () => refresh(tokens.refreshToken, replica);
      expectOverLimit(await refusalWithoutTrace(service.database, eleventh));
    }
    expect((await refresh(parent)).refreshToken, 'a replay is not counted').toBe(tokens.refreshToken);
    const { tokens: others } = await service.guest();
    await refresh(others.refreshToken);
    service.pass(40);
    expect((await refusalOf(refresh(tokens.refreshToken))).retryAfter).toBeLessThanOrEqual(20);
    service.pass(20);
    for (let count = 1; count <= 10; count++) tokens = await refresh(tokens.refreshToken, count);
    expectOverLimit(await refusalOf(refresh(tokens.refreshToken)));
  });

  test('each network has its own budget, and a client cannot choose another one', async () => {
    const service = await start({ env: { LIMITS: '*=off,AuthService.SignIn=2', TRUSTED_PROXY_HOPS: '1' } });
    const { auth } = service.clients(wire);
    const from = (forwardedFor: string) => {
      const headers = { 'x-forwarded-for': forwardedFor };
      return auth.signIn({ ...ada, password: 'a wrong password' }, { headers }).then(() => 'OK', reasonOf);
    };
    const wrong = 'INVALID_CREDENTIALS';
    expect(await from('203.0.113.1')).toBe(wrong);
    expect(await from('198.51.100.9, 203.0.113.1')).toBe(wrong);
    expect(await from('198.51.100.8, 203.0.113.1')).toBe('OVER_REQUEST_RATE_LIMIT');
    expect(await from('203.0.113.2')).toBe(wrong);
    expect(await from('2001:db8:1:2::1')).toBe(wrong);
    expect(await from('2001:db8:1:2:ffff::2')).toBe(wrong);
    expect(await from('2001:db8:1:2:3:4:5:6')).toBe('OVER_REQUEST_RATE_LIMIT');
    expect(await from('2001:db8:1:3::1')).toBe(wrong);
  });

  test('without a trusted proxy X-Forwarded-For is ignored', async () => {
    const service = await start({ env: { LIMITS: '*=off,AuthService.SignIn=2' } });
    const { auth } = service.clients(wire);
    const reasons: (string | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      const headers = { 'x-forwarded-for': `203.0.113.${i}`, forwarded: `for=203.0.113.${i}` };
      reasons.push(await auth.signIn({ ...ada, password: 'x' }, { headers }).then(() => 'OK', reasonOf));
    }
    expect(reasons).toEqual(['INVALID_CREDENTIALS', 'INVALID_CREDENTIALS', 'OVER_REQUEST_RATE_LIMIT']);
  });

  test('a method without a budget in the contract has one when LIMITS names it', async () => {
    const service = await start({ env: { LIMITS: 'AuthService.GetMe=2,AuthService.SignIn=off' } });
    const { auth } = service.clients(wire);
    const { as } = await service.welcome();
    for (let i = 0; i < 8; i++) await service.signIn();
    await auth.getMe({}, as);
    await auth.getMe({}, as);
    expectOverLimit(await refusalOf(auth.getMe({}, as)));
    expectOverLimit(await refusalOf(auth.getMe({}, bearer({ accessToken: 'garbage' }))));
  });
});

test('of parallel sign-ins over two replicas exactly as many are checked as the budget has left', async () => {
  const service = await start({ env: { LIMITS: '*=off,AuthService.SignIn=4' }, replicas: 2 });
  await service.clients('json').admin.createUser(bob, asService);
  const { errors } = await together((i) => wrongPassword(service.clients(i % 4 < 2 ? 'grpc' : 'json', i), i));
  const reasons = errors.map(reasonOf);
  expect(reasons.filter((each) => each === 'INVALID_CREDENTIALS')).toHaveLength(4);
  expect(reasons.filter((each) => each === 'OVER_REQUEST_RATE_LIMIT')).toHaveLength(crowd - 4);
});

test.each<
  [method: 'requestPasswordReset' | 'resetPassword' | 'changePassword' | 'sendVerificationEmail', limit: number]
>([
  ['requestPasswordReset', 3],
  ['resetPassword', 5],
  ['changePassword', 5],
  ['sendVerificationEmail', 3],
])('%s is held to %i calls a minute, on all replicas together', async (method, limit) => {
  const service = await start({ replicas: 2, env: { LIMITS: 'AuthService.SignIn=1000' } });
  const { as } = await service.welcome();
  const call = (n: number) => {
    const { auth } = service.clients('json', n);
    if (method === 'requestPasswordReset') return auth.requestPasswordReset({ email: `p${n}@example.org` });
    if (method === 'resetPassword')
      return auth.resetPassword({ token: 'nonsense', newPassword: 'the second difference' });
    if (method === 'changePassword')
      return auth.changePassword({ currentPassword: 'wrong', newPassword: 'the second difference' }, as);
    return auth.sendVerificationEmail({}, as);
  };
  const reasonOf = (n: number) =>
    call(n).then(
      () => 'ok',
      async (error) => (await refusalOf(Promise.reject(error))).reason,
    );
  for (let n = 0; n < limit; n++) expect(await reasonOf(n)).not.toBe('OVER_REQUEST_RATE_LIMIT');
  expect(await reasonOf(limit)).toBe('OVER_REQUEST_RATE_LIMIT');
  service.pass(61);
  expect(await reasonOf(0)).not.toBe('OVER_REQUEST_RATE_LIMIT');
});

test('no replica starts with a limit for an unknown method', async () => {
  await expect(start({ env: { LIMITS: 'AuthService.SignOn=5' } })).rejects.toThrow('AuthService.SignOn');
});
