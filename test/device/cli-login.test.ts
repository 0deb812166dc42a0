import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SessionKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { cliLogins, nonce, verified } from '../support/cli-logins.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const { PENDING, APPROVED, DENIED, EXPIRED, USED } = LoginState;

describe.each(wires)('over %s', (wire) => {
  test('a login has two codes, a page, and two hours or the lifetime of the request', async () => {
    const service = await start();
    const { devices } = cliLogins(service, wire);
    const usual = await devices.startCliLogin({});
    const [polling, login] = [usual.pollingCode, usual.loginCode];
    expect(polling).toMatch(/^ghpc_[\w-]{43}$/);
    expect(login).toMatch(/^ghlc_[\w-]{43}$/);
    expect(login.slice(5)).not.toBe(polling.slice(5));
    expect(new URL(usual.loginUrl).searchParams.get('login_code')).toBe(login);
    expect(usual.loginUrl).not.toContain(polling);
    expect(usual.comparisonNumber).toMatch(/^\d\d$/);
    expect(usual.interval?.seconds).toBe(5n);
    const lifetimeOf = (expireTime: typeof usual.expireTime) => timestampMs(expireTime!) - service.now().getTime();
    expect(Math.abs(lifetimeOf(usual.expireTime) - 7_200_000)).toBeLessThan(10_000);
    for (const seconds of [1, 1800, 86_400]) {
      const { expireTime } = await devices.startCliLogin({ lifetime: { seconds: BigInt(seconds) } });
      expect(Math.abs(lifetimeOf(expireTime) - seconds * 1000)).toBeLessThan(10_000);
    }
    for (const lifetime of [
      { seconds: 86_400n, nanos: 1_000_000 },
      { seconds: 0n },
      { seconds: -1n },
      { seconds: 0n, nanos: 999_999_999 },
    ])
      expect(await refusalOf(devices.startCliLogin({ lifetime })), `${lifetime.seconds}`).toMatchObject({
        code: Code.InvalidArgument,
        reason: 'INVALID_ARGUMENT',
        fields: ['lifetime'],
      });
  });

  test('a poll says pending until the user decides, then has tokens of a session of its own, once', async () => {
    const service = await start();
    const { devices, poll, pollLater, sessions, auth } = cliLogins(service, wire);
    const browser = await service.welcome(verified);
    const { pollingCode, loginCode } = await devices.startCliLogin({ clientName: 'a tool' });
    expect(await poll(pollingCode)).toMatchObject({ state: PENDING });
    for (let i = 0; i < 20; i++) {
      const { state, tokens, user, session } = await pollLater(pollingCode);
      expect({ state, tokens, user, session }).toEqual({ state: PENDING });
    }
    expect(await devices.completeCliLogin({ loginCode }, browser.as)).toMatchObject({ guestMerged: false });
    const { state, tokens, user, session } = await poll(pollingCode);
    expect({ state, user: user?.id }).toEqual({ state: APPROVED, user: browser.user.id });
    expect(session).toMatchObject({ kind: SessionKind.CLI, aal: AssuranceLevel.AAL1, amr: [{ method: 'device' }] });
    expect(tokens?.refreshToken).not.toBe(browser.tokens.refreshToken);
    for (let i = 0; i < 2; i++) expect(await poll(pollingCode)).toMatchObject({ state: USED });
    const refreshed = await sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect(decodeJwt(refreshed.tokens!.accessToken).sub).toBe(browser.user.id);
    const listed = await sessions.listSessions({}, browser.as);
    expect(listed.sessions.map(({ kind, current }) => [kind, current])).toEqual([
      [SessionKind.CLI, false],
      [SessionKind.WEB, true],
    ]);
    await sessions.signOut({ refreshToken: browser.tokens.refreshToken });
    expect((await auth.getMe({}, bearer(refreshed.tokens!))).user?.id).toBe(browser.user.id);
    const next = await service.signIn();
    await sessions.signOut({ refreshToken: refreshed.tokens!.refreshToken });
    await auth.getMe({}, next.as);
  });

  test('a lost response is repeated for the same nonce until the tokens are used or the login expires', async () => {
    const service = await start({ replicas: 2 });
    const { devices, poll, sessions } = cliLogins(service, wire);
    const other = cliLogins(service, wire, 1);
    const { as } = await service.welcome(verified);
    const signIn = async () => {
      const { pollingCode, loginCode } = await devices.startCliLogin({});
      await devices.completeCliLogin({ loginCode }, as);
      return { pollingCode, first: await poll(pollingCode, nonce) };
    };
    const { pollingCode, first } = await signIn();
    const again = await other.poll(pollingCode, nonce);
    expect(again).toMatchObject({ state: APPROVED, user: { id: first.user!.id }, session: { id: first.session!.id } });
    expect(again.tokens?.refreshToken).toBe(first.tokens?.refreshToken);
    expect(await other.poll(pollingCode, `${nonce}x`)).toMatchObject({ state: USED });
    expect(await other.poll(pollingCode)).toMatchObject({ state: USED });
    await sessions.refresh({ refreshToken: again.tokens!.refreshToken });
    expect(await other.poll(pollingCode, nonce)).toMatchObject({ state: USED });
    const revoked = await signIn();
    await sessions.signOut({ refreshToken: revoked.first.tokens!.refreshToken });
    expect(await poll(revoked.pollingCode, nonce)).toMatchObject({ state: USED });
    const late = await signIn();
    service.pass(7200);
    expect(await poll(late.pollingCode, nonce)).toMatchObject({ state: USED });
    const [row] = await service.database.query<{ count: number }>(
      `select count(*)::int as count from sessions where kind = 'cli'`,
    );
    expect(row!.count).toBe(3);
  });

  test('a login code is refused as a polling code and the other way round, and an unknown code is refused', async () => {
    const service = await start();
    const { devices, poll } = cliLogins(service, wire);
    const { as } = await service.welcome(verified);
    const { pollingCode, loginCode } = await devices.startCliLogin({});
    const unknown = { code: Code.FailedPrecondition, reason: 'INVALID_POLLING_CODE', message: 'Invalid polling code' };
    for (const code of [loginCode, `ghpc_${'A'.repeat(43)}`, pollingCode.slice(0, -1), `${pollingCode}A`, 'x'])
      expect(await refusalOf(poll(code)), code).toMatchObject(unknown);
    const refused = { code: Code.FailedPrecondition, reason: 'INVALID_LOGIN_CODE' };
    const message = 'Invalid login code or the code has expired';
    for (const code of [pollingCode, `ghlc_${'A'.repeat(43)}`, loginCode.toLowerCase(), `${loginCode} `])
      for (const call of [devices.checkCliLogin, devices.claimCliGuest, devices.completeCliLogin, devices.denyCliLogin])
        expect(await refusalOf(call({ loginCode: code }, as)), code).toMatchObject({ ...refused, message });
    expect(await poll(pollingCode)).toMatchObject({ state: PENDING });
  });

  test('an expired login is neither polled, checked, claimed nor completed', async () => {
    const service = await start();
    const { devices, poll } = cliLogins(service, wire);
    const { as } = await service.welcome(verified);
    const { tokens } = await service.guest();
    const { pollingCode, loginCode } = await devices.startCliLogin({
      lifetime: { seconds: 1n },
      anonRefreshToken: tokens.refreshToken,
    });
    service.pass(1.5);
    for (let i = 0; i < 2; i++) expect(await poll(pollingCode)).toMatchObject({ state: EXPIRED });
    for (const call of [devices.checkCliLogin, devices.claimCliGuest, devices.completeCliLogin, devices.denyCliLogin])
      expect((await refusalOf(call({ loginCode }, as))).reason).toBe('INVALID_LOGIN_CODE');
    const approved = await devices.startCliLogin({ lifetime: { seconds: 1n } });
    await devices.completeCliLogin({ loginCode: approved.loginCode }, as);
    service.pass(1.5);
    expect(await poll(approved.pollingCode)).toMatchObject({ state: EXPIRED });
  });

  test('a login is completed by a signed-in user, and only by one', async () => {
    const service = await start();
    const { devices, poll, admin, auth } = cliLogins(service, wire);
    const { user, as, tokens } = await service.welcome(verified);
    const second = await service.welcome({ ...bob, emailVerified: true });
    const { pollingCode, loginCode } = await devices.startCliLogin({});
    const complete = (options?: ReturnType<typeof bearer>) => devices.completeCliLogin({ loginCode }, options);
    const refused = async (options?: ReturnType<typeof bearer>) =>
      (await refusalWithoutTrace(service.database, () => complete(options))).reason;
    expect(await refused()).toBe('AUTHENTICATION_REQUIRED');
    expect(await refused(bearer({ accessToken: user.id }))).toBe('TOKEN_INVALID');
    expect(await refused(bearer({ accessToken: tokens.refreshToken }))).toBe('TOKEN_INVALID');
    expect(await refused(asService)).toBe('CALLER_NOT_ALLOWED');
    expect(await refused((await service.guest()).as)).toBe('GUEST_NOT_ALLOWED');
    const operator = await service.operator();
    const acting = await admin.impersonateUser({ userId: user.id }, operator.as);
    expect(await refused(bearer(acting.tokens!))).toBe('IMPERSONATION_NOT_ALLOWED');
    const unverified = await service.welcome({ email: 'eve@example.org', password: ada.password });
    expect(await refused(unverified.as)).toBe('EMAIL_NOT_VERIFIED');
    const [banned, deleted] = [
      await service.welcome({ email: 'mallory@example.org', password: ada.password, emailVerified: true }),
      await service.welcome({ email: 'niaj@example.org', password: ada.password, emailVerified: true }),
    ];
    await admin.banUser({ userId: banned.user.id }, asService);
    await auth.deleteMe({}, deleted.as);
    expect([await refused(banned.as), await refused(deleted.as)]).toEqual(['SESSION_REVOKED', 'SESSION_REVOKED']);
    await complete(as);
    for (const again of [as, second.as]) expect(await refused(again)).toBe('INVALID_LOGIN_CODE');
    expect((await poll(pollingCode)).user?.id).toBe(user.id);
  });

  test('a denial is final, and so is the cancellation by the program', async () => {
    const service = await start();
    const { devices, poll } = cliLogins(service, wire);
    const { as } = await service.welcome(verified);
    const { pollingCode, loginCode } = await devices.startCliLogin({});
    expect((await refusalOf(devices.denyCliLogin({ loginCode }))).reason).toBe('AUTHENTICATION_REQUIRED');
    await devices.denyCliLogin({ loginCode }, as);
    for (let i = 0; i < 2; i++) expect(await poll(pollingCode)).toMatchObject({ state: DENIED });
    for (const call of [devices.checkCliLogin, devices.completeCliLogin, devices.denyCliLogin])
      expect((await refusalOf(call({ loginCode }, as))).reason).toBe('INVALID_LOGIN_CODE');
    for (const isApproved of [false, true]) {
      const login = await devices.startCliLogin({});
      if (isApproved) await devices.completeCliLogin({ loginCode: login.loginCode }, as);
      await devices.cancelLogin({ pollingSecret: login.pollingCode });
      await devices.cancelLogin({ pollingSecret: login.pollingCode });
      expect(await poll(login.pollingCode)).toMatchObject({ state: DENIED });
      expect((await refusalOf(devices.checkCliLogin({ loginCode: login.loginCode }))).reason).toBe(
        'INVALID_LOGIN_CODE',
      );
    }
    const done = await devices.startCliLogin({});
    await devices.completeCliLogin({ loginCode: done.loginCode }, as);
    const { tokens } = await poll(done.pollingCode);
    await devices.cancelLogin({ pollingSecret: done.pollingCode });
    expect(await poll(done.pollingCode)).toMatchObject({ state: USED });
    await service.clients(wire).auth.getMe({}, bearer(tokens!));
  });
});

test('a lifetime in JSON is a duration, and nothing else', async () => {
  const service = await start();
  const url = `http://127.0.0.1:${service.replicas[0]!.httpPort}/gatehouse.v1.DeviceService/StartCliLogin`;
  const post = async (lifetime: unknown) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ lifetime }) });
    return response.status;
  };
  for (const lifetime of ['NaN', 'soon', '-1s', '0s', 1800, true, {}, '86400.001s', '1e3s'])
    expect(await post(lifetime), `${lifetime}`).toBe(400);
  expect(await post('1800s')).toBe(200);
});
