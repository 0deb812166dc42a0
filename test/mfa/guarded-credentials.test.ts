import { describe, expect, test } from 'vitest';
import { OtpType } from '../../gen/gatehouse/v1/auth_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { stepUpOf } from '../../src/sdk/surface.ts';
import { codeOf, useApp, verifyCode } from '../support/authenticator.ts';
import { lastMail, mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { siteLink } from '../support/site-methods.ts';
import { bearer, start, type Wire, wires } from '../support/start.ts';

const { email } = ada;
const newPassword = 'quite another phrase';
const insufficient = {
  ...{ code: 7, reason: 'INSUFFICIENT_AAL' },
  metadata: { required_aal: 'aal2', current_aal: 'aal1' },
};

/** Ada with an authenticator app, and a session of hers at AAL1. */
async function started(wire: Wire, env: Record<string, string> = {}) {
  const service = await start({ env: { MAIL_GAP: '1s', ...env } });
  const clients = service.clients(wire);
  const owner = await service.welcome({ ...ada, emailVerified: true });
  const app = await useApp(clients, owner.as, service.now());
  const { as } = await service.signIn();
  service.pass(30);
  const raise = async (session = as) =>
    bearer((await verifyCode(clients, session, app.factorId, codeOf(app.secret, service.now()))).tokens!);
  const signInWith = (password: string) => clients.auth.signIn({ email, password });
  return { service, ...clients, app, as, raise, signInWith };
}

describe.each(wires)('over %s', (wire) => {
  describe('UpdateCredentials of a user with a factor', () => {
    test('names the factor that the session needs for a password or an address', async () => {
      const { auth, as, app, raise, signInWith } = await started(wire);
      const address = { email: 'ada@example.com', link: siteLink };
      for (const change of [{ newPassword }, address, { newPassword, ...address, userMetadata: { theme: 'dark' } }]) {
        expect(await refusalOf(auth.updateCredentials(change, as))).toMatchObject(insufficient);
        expect(stepUpOf(await auth.updateCredentials(change, as).catch((error: unknown) => error))).toMatchObject({
          ...{ required: AssuranceLevel.AAL2, current: AssuranceLevel.AAL1 },
          factors: [{ id: app.factorId }],
        });
      }
      const { user } = await auth.getMe({}, as);
      expect(user).toMatchObject({ userMetadata: {}, email, pendingEmail: '' });
      await signInWith(ada.password);
      const raised = await raise();
      await auth.updateCredentials({ newPassword, ...address }, raised);
      expect((await auth.getMe({}, raised)).user!.pendingEmail).toBe('ada@example.com');
      await signInWith(newPassword);
    });

    test('writes metadata without the factor, and takes the address that the user has', async () => {
      const { auth, as } = await started(wire);
      const { user } = await auth.updateCredentials({ userMetadata: { theme: 'dark' } }, as);
      expect(user!.userMetadata).toEqual({ theme: 'dark' });
      await auth.updateCredentials({ email: email.toUpperCase(), link: siteLink }, as);
    });

    test('looks nothing up and sends nothing before the factor', async () => {
      const { service, auth, as, raise } = await started(wire, { MAIL_GAP: '60s' });
      await service.welcome(bob);
      const taken = { email: bob.email, link: siteLink };
      expect((await refusalOf(auth.updateCredentials(taken, as))).reason).toBe('INSUFFICIENT_AAL');
      const free = { email: 'ada@example.com', link: siteLink };
      expect((await refusalOf(auth.updateCredentials(free, as))).reason).toBe('INSUFFICIENT_AAL');
      expect(await mailsTo(service, 'ada@example.com')).toEqual([]);
      const raised = await raise();
      expect((await refusalOf(auth.updateCredentials(taken, raised))).reason).toBe('EMAIL_ALREADY_REGISTERED');
      await auth.updateCredentials(free, raised);
    });
  });

  describe.each(['token', 'code'] as const)('VerifyOtp of a recovery by %s', (by) => {
    const mailed = async (service: Parameters<typeof lastMail>[0]) => {
      if (by === 'token') return { token: await tokenFor(service, email) };
      return { code: { email, code: /^\d{6}$/m.exec((await lastMail(service, email)).text)![0] } };
    };

    test('sets no password of a user with a factor, and the value stays', async () => {
      const { service, auth, signInWith, raise } = await started(wire);
      await auth.requestPasswordReset({ email, link: siteLink });
      const recovery = { type: OtpType.RECOVERY, ...(await mailed(service)) };
      const sessions = 'select id from sessions order by id';
      const before = await service.database.query(sessions);
      const refusal = await refusalOf(auth.verifyOtp({ ...recovery, newPassword }));
      expect(refusal).toMatchObject(insufficient);
      expect(await service.database.query(sessions)).toEqual(before);
      await signInWith(ada.password);
      const { tokens, session } = await auth.verifyOtp(recovery);
      expect(session).toMatchObject({ aal: AssuranceLevel.AAL1, amr: [{ method: 'recovery' }] });
      const as = bearer(tokens!);
      expect(await refusalOf(auth.updateCredentials({ newPassword }, as))).toMatchObject(insufficient);
      await auth.updateCredentials({ newPassword }, await raise(as));
      await signInWith(newPassword);
    });

    test('opens a session without a password where one is required, if the user has a factor', async () => {
      const { service, auth } = await started(wire, { RECOVERY_REQUIRES_PASSWORD: 'on' });
      await auth.requestPasswordReset({ email, link: siteLink });
      const { session } = await auth.verifyOtp({ type: OtpType.RECOVERY, ...(await mailed(service)) });
      expect(session).toMatchObject({ aal: AssuranceLevel.AAL1 });
    });
  });

  test('a factor that is not verified guards nothing', async () => {
    const service = await start();
    const { auth, mfa } = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    await mfa.enrollFactor({ type: 1 }, as);
    await auth.requestPasswordReset({ email, link: siteLink });
    const token = await tokenFor(service, email);
    const { tokens } = await auth.verifyOtp({ type: OtpType.RECOVERY, token, newPassword });
    expect((await auth.getMe({}, bearer(tokens!))).user!.email).toBe(email);
  });
});
