// @serializable
import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { deviceFlow, outcomeOf } from '../support/device-flow.ts';
import { bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type StartOptions, start, type Wire, wires } from '../support/start.ts';

const nonce = 'n'.repeat(22);
const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada', emailVerified: true };
const { APPROVED, CLAIMED, PENDING } = LoginState;

async function prepare(wire: Wire, options: StartOptions = {}) {
  const service = await start(options);
  const me = await service.welcome(ada);
  return { service, me, as: me.as, ...deviceFlow(service, wire) };
}

describe.each(wires)('over %s', (wire) => {
  test('a long code is exchanged for an API key of its user in one step, once, in any case', async () => {
    const { service, me, as, on, redeem } = await prepare(wire);
    const { cliCode, expiresIn, message } = await on().createDashboardCode({}, as);
    expect(cliCode).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect([expiresIn?.seconds, message]).toEqual([900n, expect.stringContaining(`gatehouse login --code ${cliCode}`)]);
    const { state, apiKey, user, tier } = await redeem(cliCode.toLowerCase().replaceAll('-', ' '));
    expect([state, user!.id, tier]).toEqual([APPROVED, me.user.id, 'pro']);
    const found = await service.clients(wire).auth.getMe({}, bearer({ accessToken: apiKey }));
    expect(found.user!.id).toBe(me.user.id);
    const refusal = await refusalOf(redeem(cliCode));
    expect(refusal).toMatchObject({ reason: 'CLI_CODE_USED' });
    expect(refusal.message).toContain('CLI code has already been used');
  });

  test('the response is repeated for its nonce until the key is used', async () => {
    const { service, as, create, redeem } = await prepare(wire);
    const code = await create(as);
    const first = await redeem(code, nonce);
    expect((await redeem(code, nonce)).apiKey).toBe(first.apiKey);
    expect(await outcomeOf(redeem(code, 'm'.repeat(22)))).toBe('CLI_CODE_USED');
    await service.database.query('update api_keys set last_used_at = now()');
    expect(await outcomeOf(redeem(code, nonce))).toBe('CLI_CODE_USED');
  });

  test('an unknown, an expired and a replaced code are invalid', async () => {
    const { service, as, create, redeem } = await prepare(wire);
    const [replaced, code] = [await create(as), await create(as)];
    service.pass(900);
    for (const each of [replaced, code, '0000-0000-0000-0000-0000-0000', 'x', 'UUUU-UUUU'])
      expect((await refusalOf(redeem(each))).message).toContain('Invalid or expired CLI code');
  });

  test('a new code voids the earlier ones of its user only', async () => {
    const { service, as, create, redeem } = await prepare(wire);
    const other = await service.welcome({ ...bob, emailVerified: true });
    const [earlier, ofBob, later] = [await create(as), await create(other.as), await create(as, true)];
    expect(await outcomeOf(redeem(earlier))).toBe('CLI_CODE_INVALID');
    expect(await outcomeOf(redeem(ofBob))).toBe('OK');
    expect(await outcomeOf(redeem(later))).toBe('OK');
  });

  test('a short code is redeemed by the device that claimed it, once the dashboard has confirmed it', async () => {
    const { me, as, on, create, redeem, redeemClaimed } = await prepare(wire);
    const cliCode = await create(as, true);
    expect(cliCode).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}$/);
    expect(await on().getDashboardCode({ cliCode }, as)).toMatchObject({ state: PENDING });
    expect(await outcomeOf(on().approveDashboardCode({ cliCode }, as))).toBe('CLI_CODE_INVALID');
    const claimed = await redeem(cliCode, nonce);
    expect([claimed.state, claimed.apiKey, claimed.user]).toEqual([CLAIMED, '', undefined]);
    const { pollingCode, comparisonNumber } = claimed;
    expect((await redeem(cliCode, nonce)).pollingCode, 'repeated').toBe(pollingCode);
    expect(await outcomeOf(redeem(cliCode))).toBe('CLI_CODE_USED');
    const { state, requester } = await on().getDashboardCode({ cliCode }, as);
    expect(state).toBe(CLAIMED);
    expect(requester).toMatchObject({ clientName: 'a tool', address: '127.0.0.1', comparisonNumber });
    expect((await redeemClaimed(pollingCode)).state).toBe(CLAIMED);
    expect(await outcomeOf(redeemClaimed(pollingCode))).toBe('SLOW_DOWN');
    await on().approveDashboardCode({ cliCode }, as);
    expect(await outcomeOf(redeem(cliCode)), 'the code alone').toBe('CLI_CODE_USED');
    const redeemed = await redeemClaimed(pollingCode);
    expect([redeemed.state, redeemed.user!.id]).toEqual([APPROVED, me.user.id]);
    expect(await outcomeOf(redeemClaimed(pollingCode))).toBe('CLI_CODE_USED');
  });

  test('a denied device receives nothing, and a code that was taken back is void', async () => {
    const { as, on, create, redeem, redeemClaimed } = await prepare(wire);
    const short = await create(as, true);
    const { pollingCode } = await redeem(short);
    await on().denyDashboardCode({ cliCode: short }, as);
    for (let i = 0; i < 2; i++) expect(await outcomeOf(redeemClaimed(pollingCode))).toBe('ACCESS_DENIED');
    expect(await outcomeOf(redeem(short))).toBe('CLI_CODE_INVALID');
    const long = await create(as);
    await on().denyDashboardCode({ cliCode: long }, as);
    expect(await outcomeOf(redeem(long))).toBe('CLI_CODE_INVALID');
    expect(await outcomeOf(on().denyDashboardCode({ cliCode: long }, as))).toBe('CLI_CODE_INVALID');
  });

  test('a code is that of its user alone', async () => {
    const { service, as, on, create } = await prepare(wire);
    const other = await service.welcome({ ...bob, emailVerified: true });
    const cliCode = await create(as);
    const calls = [on().getDashboardCode, on().approveDashboardCode, on().denyDashboardCode];
    for (const call of calls) expect(await outcomeOf(call({ cliCode }, other.as))).toBe('CLI_CODE_INVALID');
    expect((await on().getDashboardCode({ cliCode }, as)).state).toBe(APPROVED);
  });

  test('without an access token, and with an old authentication, no code is created', async () => {
    const { service, as, on } = await prepare(wire);
    expect(await outcomeOf(on().createDashboardCode({}))).toBe('AUTHENTICATION_REQUIRED');
    service.pass(601);
    expect(await outcomeOf(on().createDashboardCode({}, as))).toBe('REAUTHENTICATION_REQUIRED');
  });

  test('an address that tried ten unknown codes is refused with the right one too, another one is not', async () => {
    const env = { LIMITS: '*=off,DeviceService.RedeemDashboardCode:codes=10', TRUSTED_PROXY_HOPS: '1' };
    const { service, as, on, create } = await prepare(wire, { env, replicas: 2 });
    const right = await create(as);
    const from = (address: string, value: string, replica = 0) =>
      outcomeOf(
        on(replica).redeemDashboardCode(
          { proof: { case: 'cliCode', value } },
          { headers: { 'x-forwarded-for': address } },
        ),
      );
    for (let i = 0; i < 10; i++)
      expect(await from('192.0.2.1', '0000-0000-0000-0000-0000-0000', i)).toBe('CLI_CODE_INVALID');
    for (const code of ['0000-0000', right]) expect(await from('192.0.2.1', code)).toBe('OVER_REQUEST_RATE_LIMIT');
    expect(await from('192.0.2.2', right)).toBe('OK');
    service.pass(61);
    expect(await from('192.0.2.1', await create(as)), 'in the next window').toBe('OK');
  });

  test('a user who tried ten unknown user codes is refused on every address, another user is not', async () => {
    const limits = ['GetDeviceCode', 'ApproveDevice', 'DenyDevice'].map((each) => `DeviceService.${each}:codes=10`);
    const env = { LIMITS: ['*=off', ...limits].join(','), TRUSTED_PROXY_HOPS: '1' };
    const { service, as, on, request } = await prepare(wire, { env });
    const other = await service.welcome({ ...bob, emailVerified: true });
    const { userCode } = await request();
    const from = (n: number, { headers }: typeof as) => ({
      headers: { ...headers, 'x-forwarded-for': `192.0.2.${n}` },
    });
    const methods = [on().getDeviceCode, on().approveDevice, on().denyDevice];
    for (let n = 0; n < 10; n++)
      expect(await outcomeOf(methods[n % 3]!({ userCode: 'BBBB-BBBB' }, from(n, as)))).toBe('USER_CODE_NOT_FOUND');
    for (const method of methods)
      expect(await outcomeOf(method({ userCode }, from(20, as)))).toBe('OVER_REQUEST_RATE_LIMIT');
    for (let n = 0; n < 20; n++) await on().getDeviceCode({ userCode }, from(30, other.as));
    expect(await outcomeOf(on().approveDevice({ userCode }, from(30, other.as)))).toBe('OK');
  });
});
