// @serializable
import { describe, expect, test } from 'vitest';
import { CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { cliLogins, nonce, verified } from '../support/cli-logins.ts';
import { deviceFlow, forSession, outcomeOf } from '../support/device-flow.ts';
import { asService } from '../support/people.ts';
import { Pause } from '../support/race.ts';
import { bearer, start, wires } from '../support/start.ts';

const { APPROVED, DENIED } = LoginState;

describe.each(wires)('over %s', (wire) => {
  test('a guest who is claimed while another user completes the login is not merged', async () => {
    const pause = new Pause('CompleteCliLogin');
    const service = await start({ replicas: 2, inner: [pause.interceptor()] });
    const { devices, auth, startAsGuest, poll } = cliLogins(service, wire);
    const { as, user } = await service.welcome(verified);
    const { loginCode, pollingCode, guest } = await startAsGuest();
    const read = pause.next();
    const completing = service.clients(wire, 1).devices.completeCliLogin({ loginCode }, as);
    await read;
    const { tokens } = await devices.claimCliGuest({ loginCode });
    pause.resume();
    expect((await completing).guestMerged).toBe(false);
    expect((await auth.getMe({}, bearer(tokens!))).user!.id).toBe(guest.user.id);
    expect((await poll(pollingCode)).user!.id).toBe(user.id);
  });

  test('a denial takes back the confirmation of a dashboard code that commits meanwhile', async () => {
    const pause = new Pause('DenyDashboardCode');
    const service = await start({ replicas: 2, inner: [pause.interceptor()] });
    const { as } = await service.welcome(verified);
    const { on, create, redeem, redeemClaimed } = deviceFlow(service, wire);
    const cliCode = await create(as, true);
    const { pollingCode } = await redeem(cliCode);
    const read = pause.next();
    const denying = on(1).denyDashboardCode({ cliCode }, as);
    await read;
    await on().approveDashboardCode({ cliCode }, as);
    pause.resume();
    await denying;
    service.pass(6);
    expect(await outcomeOf(redeemClaimed(pollingCode))).toBe('ACCESS_DENIED');
  });

  test.each(['KEEP', 'ROTATE', 'UpdateCredentials'] as const)(
    'a new password voids what was approved before: %s',
    async (how) => {
      const service = await start();
      const { as, user } = await service.welcome(verified);
      const { devices } = service.clients(wire);
      const { request, approve, poll, create, redeem } = deviceFlow(service, wire);
      const { deviceCode, userCode } = await request(forSession);
      await approve(userCode, as);
      const login = await devices.startCliLogin({});
      await devices.completeCliLogin({ loginCode: login.loginCode }, as);
      const cliCode = await create(as);
      const { auth } = service.clients(wire);
      const newPassword = 'notes on the engine';
      const passwords = { currentPassword: verified.password, newPassword };
      if (how === 'UpdateCredentials') await auth.updateCredentials({ newPassword }, as);
      else await auth.changePassword({ ...passwords, currentSession: CurrentSession[how] }, as);
      expect(await outcomeOf(poll(deviceCode))).toBe('ACCESS_DENIED');
      const { pollingCode } = login;
      expect(await devices.pollCliLogin({ pollingCode, clientNonce: nonce })).toMatchObject({ state: DENIED });
      expect(await outcomeOf(redeem(cliCode))).toBe('CLI_CODE_INVALID');
      const { events } = await service.clients(wire).admin.listAuditEvents({ action: 'device.cancel' }, asService);
      expect(events.map(({ userId }) => userId)).toEqual([user.id, user.id, user.id]);
    },
  );

  test('the audit trail names the session that a login has opened', async () => {
    const service = await start();
    const { as } = await service.welcome(verified);
    const { devices, startAsGuest } = cliLogins(service, wire);
    const { loginCode, pollingCode } = await startAsGuest();
    const claimed = await devices.claimCliGuest({ loginCode });
    await devices.completeCliLogin({ loginCode }, as);
    const polled = await devices.pollCliLogin({ pollingCode });
    expect(polled.state).toBe(APPROVED);
    const sessionOf = async (action: string) => {
      const { events } = await service.clients(wire).admin.listAuditEvents({ action }, asService);
      return events.map(({ sessionId }) => sessionId);
    };
    expect(await sessionOf('device.claim')).toEqual([claimed.session!.id]);
    expect(await sessionOf('device.redeem')).toEqual([polled.session!.id]);
  });

  test('an operator who acts as a guest cannot hand that session to a browser', async () => {
    const service = await start();
    const guest = await service.guest();
    const { admin, devices } = service.clients(wire);
    const operator = await service.operator();
    const { tokens } = await admin.impersonateUser({ userId: guest.user.id }, operator.as);
    const anonRefreshToken = tokens!.refreshToken;
    expect(await outcomeOf(devices.startCliLogin({ anonRefreshToken }))).toBe('INVALID_ANON_REFRESH_TOKEN');
  });
});
