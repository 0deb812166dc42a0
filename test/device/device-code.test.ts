// @serializable
import { describe, expect, test } from 'vitest';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { deviceFlow, forSession, outcomeOf } from '../support/device-flow.ts';
import { bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type StartOptions, start, type Wire, wires } from '../support/start.ts';

const nonce = 'n'.repeat(22);
const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada', emailVerified: true };

async function prepare(wire: Wire, options: StartOptions = {}) {
  const service = await start(options);
  const me = await service.welcome(ada);
  return { service, me, as: me.as, ...deviceFlow(service, wire) };
}

describe.each(wires)('over %s', (wire) => {
  test('a device receives a code pair, the page and the times', async () => {
    const { request } = await prepare(wire);
    const pair = await request();
    expect(pair.deviceCode.length).toBeGreaterThanOrEqual(43);
    expect(pair.userCode).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    expect(pair.verificationUri).toBe('http://gatehouse.test/device');
    expect(pair.verificationUriComplete).toBe(`${pair.verificationUri}?user_code=${pair.userCode}`);
    expect([pair.expiresIn?.seconds, pair.interval?.seconds]).toEqual([900n, 5n]);
  });

  test('a poll before the approval is pending, an early one slows down, and one at the new interval succeeds', async () => {
    const { service, request, poll } = await prepare(wire);
    const { deviceCode } = await request();
    const refusal = await refusalOf(poll(deviceCode));
    expect(refusal).toMatchObject({ reason: 'AUTHORIZATION_PENDING' });
    expect(refusal.message).toContain("User hasn't authorized yet. Keep polling.");
    expect((await refusalOf(poll(deviceCode))).reason).toBe('SLOW_DOWN');
    service.pass(10);
    expect((await refusalOf(poll(deviceCode))).reason).toBe('AUTHORIZATION_PENDING');
  });

  test('an approved device receives an API key of the approver, once', async () => {
    const { service, me, as, on, request, approve, poll } = await prepare(wire);
    const { deviceCode, userCode } = await request();
    expect((await approve(userCode, as)).message).toBe('Device authorized successfully');
    const { apiKey, user, tier, tokens } = await poll(deviceCode);
    expect(user).toMatchObject({ id: me.user.id, email: ada.email, name: 'Ada' });
    expect([tier, tokens]).toEqual(['pro', undefined]);
    const found = await service.clients(wire).auth.getMe({}, bearer({ accessToken: apiKey }));
    expect(found.user!.id).toBe(me.user.id);
    expect(await outcomeOf(poll(deviceCode))).toBe('INVALID_DEVICE_CODE');
    expect(await outcomeOf(approve(userCode, as))).toBe('USER_CODE_NOT_FOUND');
    expect(await outcomeOf(on().getDeviceCode({ userCode }, as))).toBe('USER_CODE_NOT_FOUND');
  });

  test('a device that asks for a session receives one of its own, at aal1', async () => {
    const { service, me, as, request, approve, poll } = await prepare(wire);
    const { deviceCode, userCode } = await request(forSession);
    await approve(userCode, as);
    const { apiKey, tokens, session, user, tier } = await poll(deviceCode);
    expect([apiKey, user!.id, tier]).toEqual(['', me.user.id, 'pro']);
    expect(session).toMatchObject({ userId: me.user.id, aal: 1, amr: [{ method: 'device' }] });
    await service.clients(wire).sessions.signOut({ scope: SignOutScope.LOCAL }, as);
    expect((await service.clients(wire).auth.getMe({}, bearer(tokens!))).user!.id).toBe(me.user.id);
  });

  test.each([['an API key', undefined] as const, ['a session', forSession] as const])(
    'the response with %s is repeated for its nonce until it is used or expires',
    async (_, credential) => {
      const { service, as, request, approve, poll } = await prepare(wire);
      const { deviceCode, userCode } = await request(credential);
      await approve(userCode, as);
      const first = await poll(deviceCode, nonce);
      const again = await poll(deviceCode, nonce);
      expect(again.apiKey).toBe(first.apiKey);
      expect(again.tokens?.refreshToken).toBe(first.tokens?.refreshToken);
      expect(again.tier).toBe(first.tier);
      expect(await outcomeOf(poll(deviceCode, 'm'.repeat(22)))).toBe('INVALID_DEVICE_CODE');
      if (first.tokens) await service.clients(wire).sessions.refresh({ refreshToken: first.tokens.refreshToken });
      else await service.database.query('update api_keys set last_used_at = now()');
      expect(await outcomeOf(poll(deviceCode, nonce))).toBe('INVALID_DEVICE_CODE');
    },
  );

  test('a user code is read in lower case, with spaces, without its dash and in full width', async () => {
    const { as, request, approve } = await prepare(wire);
    const spellings = [
      (code: string) => code.toLowerCase(),
      (code: string) => code.replace('-', ''),
      (code: string) => ` ${code.toLowerCase().replace('-', ' ')} `,
      (code: string) => code.replace('-', '–'),
      (code: string) => code.replace(/[A-Z]/g, (c) => String.fromCharCode(c.charCodeAt(0) + 0xfee0)),
    ];
    for (const spell of spellings) expect(await outcomeOf(approve(spell((await request()).userCode), as))).toBe('OK');
    for (const typed of ['BBBB-BBBBB', 'AEIO-UUUU', '0000-1111', "' or 1=1 --", 'BBBB'])
      expect(await outcomeOf(approve(typed, as)), typed).toBe('USER_CODE_NOT_FOUND');
  });

  test('the confirmation page learns the program, the address, the user agent, the age and the number', async () => {
    const { me, as, on, request } = await prepare(wire);
    const { userCode, comparisonNumber } = await request();
    const found = await on().getDeviceCode({ userCode: userCode.toLowerCase() }, as);
    expect(found).toMatchObject({ userCode, credential: 1, scopes: [] });
    expect(found.requester).toMatchObject({ clientName: 'a tool', address: '127.0.0.1', comparisonNumber });
    expect(found.requester!.userAgent).not.toBe('');
    const age = Date.now() / 1000 - Number(found.requester!.createTime!.seconds);
    expect(Math.abs(age)).toBeLessThan(10);
    expect(await outcomeOf(on().getDeviceCode({ userCode: 'BBBB-BBBB' }, as))).toBe('USER_CODE_NOT_FOUND');
    expect(me.user.id).not.toBe('');
  });

  test('a denied device stays denied', async () => {
    const { as, request, approve, deny, poll } = await prepare(wire);
    const { deviceCode, userCode } = await request();
    await deny(userCode, as);
    for (let i = 0; i < 2; i++) expect(await outcomeOf(poll(deviceCode))).toBe('ACCESS_DENIED');
    expect(await outcomeOf(approve(userCode, as))).toBe('USER_CODE_NOT_FOUND');
  });

  test('an expired code is neither approved nor redeemed', async () => {
    const { service, as, request, approve, poll } = await prepare(wire);
    const [pending, approved] = [await request(), await request()];
    await approve(approved.userCode, as);
    service.pass(900);
    const { as: fresh } = await service.signIn(ada);
    const refusal = await refusalOf(approve(pending.userCode, fresh));
    expect(refusal.message).toContain('Invalid user code or authorization expired');
    for (const { deviceCode } of [pending, approved])
      expect((await refusalOf(poll(deviceCode))).message).toContain(
        'Device code has expired. Please request a new one.',
      );
  });

  test('only the verified caller approves, whatever the request says', async () => {
    const { service, as, request, on, poll } = await prepare(wire);
    const { user } = await service.welcome({ ...bob, emailVerified: true });
    const { deviceCode, userCode } = await request();
    expect(await outcomeOf(on().approveDevice({ userCode }))).toBe('AUTHENTICATION_REQUIRED');
    for (const credential of [user.id, deviceCode]) {
      const wrong = { headers: { authorization: `Bearer ${credential}` } };
      const calls = [
        on().approveDevice({ userCode }, wrong),
        on().createDashboardCode({}, wrong),
        on().listDevices({}, wrong),
      ];
      for (const each of calls) expect(await outcomeOf(each)).toBe('TOKEN_INVALID');
    }
    await on().approveDevice({ userCode, userId: user.id, stackUserId: user.id } as object, as);
    expect((await poll(deviceCode)).user!.email).toBe(ada.email);
  });

  test('no refusal of this service creates a user', async () => {
    const { service, as, approve, poll, redeem } = await prepare(wire);
    for (const call of [() => approve('BBBB-BBBB', as), () => poll('x'), () => redeem('BBBB-BBBB')])
      expect(await outcomeOf(call())).not.toBe('OK');
    expect(await service.database.query('select count(*)::int as users from users')).toEqual([{ users: 1 }]);
  });

  test.each([
    ['banned', "update users set banned_until = '9999-01-01'"],
    ['deleted', 'update users set deleted_at = now()'],
  ])('a device receives nothing once its approver is %s', async (_, change) => {
    const { service, as, request, approve, poll } = await prepare(wire, { skipChecks: ['orphans'] });
    const { deviceCode, userCode } = await request();
    await approve(userCode, as);
    await service.database.query(change);
    expect(await outcomeOf(poll(deviceCode))).toBe('ACCESS_DENIED');
    expect(await service.database.query('select count(*)::int as keys from api_keys')).toEqual([{ keys: 0 }]);
  });

  test('codes of one kind are none of another', async () => {
    const { as, request, create, approve, redeem, poll } = await prepare(wire);
    const short = await create(as, true);
    expect(await outcomeOf(approve(short, as))).toBe('USER_CODE_NOT_FOUND');
    const { userCode } = await request();
    expect(await outcomeOf(redeem(userCode))).toBe('CLI_CODE_INVALID');
    for (const code of [`dashboard_${short}`, userCode, short])
      expect(await outcomeOf(poll(code))).toBe('INVALID_DEVICE_CODE');
  });

  test('a device asks for scopes of its API key, and for no others', async () => {
    const { service, as, on, approve, poll } = await prepare(wire);
    const scopes = ['AccountService.GetUsage'];
    const { deviceCode, userCode } = await on().requestDeviceCode({ scopes });
    expect((await on().getDeviceCode({ userCode }, as)).scopes).toEqual(scopes);
    await approve(userCode, as);
    const { apiKey } = await poll(deviceCode);
    const refused = service.clients(wire).auth.getMe({}, bearer({ accessToken: apiKey }));
    expect(await outcomeOf(refused)).toBe('CALLER_NOT_ALLOWED');
    expect(await outcomeOf(on().requestDeviceCode({ scopes: ['DeviceService.ListDevices'] }))).toBe('INVALID_ARGUMENT');
    expect(await outcomeOf(on().requestDeviceCode({ scopes, credential: forSession }))).toBe('INVALID_ARGUMENT');
  });

  test('a user whose address is not verified approves no device, and the code stays', async () => {
    const { service, as, request, on, approve } = await prepare(wire);
    const other = await service.welcome(bob);
    const { userCode } = await request();
    expect(await outcomeOf(approve(userCode, other.as))).toBe('EMAIL_NOT_VERIFIED');
    expect(await outcomeOf(on().createDashboardCode({}, other.as))).toBe('EMAIL_NOT_VERIFIED');
    expect(await outcomeOf(approve(userCode, as))).toBe('OK');
  });

  test('an approval of an API key requires a recent authentication, and that of a session does not', async () => {
    const { service, as, request, approve } = await prepare(wire);
    service.pass(601);
    const [key, session] = [await request(), await request(forSession)];
    expect(await outcomeOf(approve(key.userCode, as))).toBe('REAUTHENTICATION_REQUIRED');
    expect(await outcomeOf(approve(session.userCode, as))).toBe('OK');
  });
});

test('of 200 requests all codes are distinct', async () => {
  const { request } = await prepare('grpc');
  const pairs = [];
  for (let i = 0; i < 200; i++) pairs.push(await request());
  expect(new Set(pairs.map(({ deviceCode }) => deviceCode)).size).toBe(200);
  expect(new Set(pairs.map(({ userCode }) => userCode)).size).toBe(200);
});
