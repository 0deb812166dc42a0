// @serializable
import { describe, expect, test } from 'vitest';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { deviceFlow, forKey, forSession, outcomeOf } from '../support/device-flow.ts';
import { asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { type bearer, start, type TestService, type Wire, wires } from '../support/start.ts';

const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada', emailVerified: true };

async function prepare(wire: Wire, method: string) {
  const barrier = new Barrier(method);
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const me = await service.welcome(ada);
  return { service, barrier, me, as: me.as, ...deviceFlow(service, wire) };
}

async function countOf({ database }: TestService, table: 'api_keys' | 'sessions') {
  const [row] = await database.query<{ count: number }>(
    `select count(*)::int as count from ${table} where ${table === 'sessions' ? `kind = 'device'` : 'true'}`,
  );
  return row!.count;
}

const tally = (outcomes: readonly string[], what: string) => outcomes.filter((each) => each === what).length;

describe.each(wires)('over %s, on two replicas', (wire) => {
  test.each([
    ['API key', forKey, 'api_keys'],
    ['session', forSession, 'sessions'],
  ] as const)('of parallel polls after the approval one receives the %s', async (_, credential, table) => {
    const { service, barrier, as, request, approve, poll, list } = await prepare(wire, 'PollDeviceToken');
    const { deviceCode, userCode } = await request(credential);
    await approve(userCode, as);
    barrier.expect(crowd);
    const { answers } = await together((n) => outcomeOf(poll(deviceCode, '', n)));
    expect([tally(answers, 'OK'), tally(answers, 'INVALID_DEVICE_CODE')]).toEqual([1, crowd - 1]);
    expect(await countOf(service, table)).toBe(1);
    expect(await list(as)).toHaveLength(1);
  });

  test('of two users who approve one code one succeeds, and the key is theirs', async () => {
    const { service, barrier, me, as, request, approve, poll } = await prepare(wire, 'ApproveDevice');
    const other = await service.welcome({ ...bob, emailVerified: true });
    const { deviceCode, userCode } = await request();
    barrier.expect(crowd);
    const { answers } = await together((n) => outcomeOf(approve(userCode, n % 2 ? as : other.as, n)));
    expect([tally(answers, 'OK'), tally(answers, 'USER_CODE_NOT_FOUND')]).toEqual([1, crowd - 1]);
    const winner = answers.indexOf('OK') % 2 ? me : other;
    expect((await poll(deviceCode)).user!.id).toBe(winner.user.id);
  });

  test('of approvals and denials in parallel one is kept', async () => {
    const { service, barrier, as, request, approve, deny, poll } = await prepare(wire, 'ApproveDevice');
    const { deviceCode, userCode } = await request();
    barrier.expect(Math.ceil(crowd / 2));
    const { answers } = await together((n) => outcomeOf(n % 2 ? deny(userCode, as, n) : approve(userCode, as, n >> 1)));
    expect([tally(answers, 'OK'), tally(answers, 'USER_CODE_NOT_FOUND')]).toEqual([1, crowd - 1]);
    const isApproved = answers.indexOf('OK') % 2 === 0;
    expect(await outcomeOf(poll(deviceCode))).toBe(isApproved ? 'OK' : 'ACCESS_DENIED');
    expect(await countOf(service, 'api_keys')).toBe(isApproved ? 1 : 0);
  });

  test('of parallel redemptions of a dashboard code one receives the key', async () => {
    const { service, barrier, as, create, redeem } = await prepare(wire, 'RedeemDashboardCode');
    const code = await create(as);
    barrier.expect(crowd);
    const { answers } = await together((n) => outcomeOf(redeem(code, '', n)));
    expect([tally(answers, 'OK'), tally(answers, 'CLI_CODE_USED')]).toEqual([1, crowd - 1]);
    expect(await countOf(service, 'api_keys')).toBe(1);
  });

  test('of devices that claim a short code in parallel one can be confirmed', async () => {
    const { service, barrier, as, on, create, redeem, redeemClaimed } = await prepare(wire, 'RedeemDashboardCode');
    const cliCode = await create(as, true);
    barrier.expect(crowd);
    const { answers, errors } = await together((n) => redeem(cliCode, '', n));
    expect([answers.length, errors.length]).toEqual([1, crowd - 1]);
    await on().approveDashboardCode({ cliCode }, as);
    const { answers: redeemed } = await together((n) => outcomeOf(redeemClaimed(answers[0]!.pollingCode, n)));
    expect([tally(redeemed, 'OK'), tally(redeemed, 'CLI_CODE_USED')]).toEqual([1, crowd - 1]);
    expect(await countOf(service, 'api_keys')).toBe(1);
  });

  test('of dashboard codes that one user creates in parallel one is valid', async () => {
    const { barrier, as, on, redeem } = await prepare(wire, 'CreateDashboardCode');
    barrier.expect(crowd);
    const { answers } = await together((n) => on(n).createDashboardCode({}, as));
    expect(answers).toHaveLength(crowd);
    const outcomes: string[] = [];
    for (const { cliCode } of answers) outcomes.push(await outcomeOf(redeem(cliCode)));
    expect(tally(outcomes, 'OK')).toBe(1);
  });

  test.each<[what: string, end: (service: TestService, as: ReturnType<typeof bearer>, id: string) => Promise<unknown>]>(
    [
      ['a ban', (service, _, userId) => service.clients(wire, 1).admin.banUser({ userId }, asService)],
      ['a deletion', (service, _, userId) => service.clients(wire, 1).admin.deleteUser({ userId }, asService)],
      [
        'the revocation of all sessions',
        (service, _, userId) =>
          service.clients(wire, 1).admin.revokeUserSessions({ whose: { case: 'userId', value: userId } }, asService),
      ],
      ['a sign-out', (service, as) => service.clients(wire, 1).sessions.signOut({ scope: SignOutScope.LOCAL }, as)],
    ],
  )('a redemption and %s never leave a device whose approval was void', async (what, end) => {
    const { service, barrier, me, as, request, approve, poll } = await prepare(wire, 'PollDeviceToken');
    const { deviceCode, userCode } = await request(forSession);
    await approve(userCode, as);
    barrier.expect(crowd - 1);
    const ending = crowd >> 1;
    const { answers } = await together((n) =>
      n === ending ? end(service, as, me.user.id).then(() => 'ended') : outcomeOf(poll(deviceCode, '', n)),
    );
    const redeemed = tally(answers, 'OK');
    expect(redeemed).toBeLessThanOrEqual(1);
    expect(await countOf(service, 'sessions')).toBe(redeemed);
    const rest = redeemed ? 'INVALID_DEVICE_CODE' : 'ACCESS_DENIED';
    expect(await outcomeOf(poll(deviceCode))).toBe(rest);
    const live = await service.database.query(
      `select 1 from sessions s join users u on u.id = s.user_id where s.kind = 'device' and s.revoked_at is null
         and u.deleted_at is null and u.banned_until is null`,
    );
    expect(live.length, 'a sign-out ends only its own session').toBe(what === 'a sign-out' ? redeemed : 0);
  });
});
