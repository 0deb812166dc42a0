// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SessionKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { lastMail, mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

async function linkOf(service: TestService, email = ada.email) {
  await service.clients('json').auth.requestMagicLink({ email });
  return tokenFor(service, email);
}

describe.each(wires)('over %s', (wire) => {
  test('a link signs in once, at assurance level 1 with the method magiclink, and the session can be refreshed', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
    const token = await linkOf(service);
    expect((await lastMail(service, ada.email)).link).toContain('/magic-link?token=');
    const { user, tokens, session, account } = await auth.signInWithMagicLink({ token, kind: SessionKind.NATIVE });
    expect(account!.account!.ownerId).toBe(user!.id);
    expect(user).toMatchObject({ email: ada.email, emailVerified: true });
    expect(session).toMatchObject({
      aal: AssuranceLevel.AAL1,
      kind: SessionKind.NATIVE,
      amr: [{ method: 'magiclink' }],
    });
    await auth.getMe({}, bearer(tokens!));
    await sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect(await refusalWithoutTrace(service.database, () => auth.signInWithMagicLink({ token }))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'OTP_EXPIRED',
      message: 'Token has expired or is invalid',
    });
    await auth.signIn(ada);
  });

  test('a link is refused when it has expired, after a newer one, and when it was sent for another purpose', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await auth.register(ada);
    const verification = await tokenFor(service, ada.email);
    await auth.requestPasswordReset({ email: ada.email });
    const reset = await tokenFor(service, ada.email);
    const old = await linkOf(service);
    service.pass(61);
    const late = await linkOf(service);
    for (const token of [old, verification, reset, 'nonsense'])
      expect((await refusalOf(auth.signInWithMagicLink({ token }))).reason).toBe('OTP_EXPIRED');
    service.pass(10 * 60 + 1);
    expect((await refusalOf(auth.signInWithMagicLink({ token: late }))).reason).toBe('OTP_EXPIRED');
    expect((await refusalOf(auth.signInWithMagicLink({}))).reason).toBe('TOKEN_REQUIRED');
    expect((await refusalOf(auth.verifyEmail({ token: late }))).reason).toBe('VERIFICATION_TOKEN_INVALID');
    expect((await refusalOf(auth.resetPassword({ token: late, newPassword: 'x' }))).reason).toBe('RESET_TOKEN_INVALID');
    await auth.verifyEmail({ token: verification });
  });

  test('the response is the same for every address; only a registered user who is not banned gets a mail, and no user is created', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await admin.createUser({ email: ada.email }, asService);
    const { user } = await admin.createUser(bob, asService);
    await admin.banUser({ userId: user!.id }, asService);
    const addresses = [ada.email, 'unknown@example.org', bob.email];
    const responses = [];
    for (const email of [...addresses, ...addresses]) responses.push(await auth.requestMagicLink({ email }));
    for (const response of responses) expect(response).toEqual(responses[0]);
    const mails = await Promise.all(addresses.map(async (each) => (await mailsTo(service, each)).length));
    expect(mails).toEqual([1, 0, 0]);
    expect(await service.database.query('select 1 from users')).toHaveLength(2);
  });

  test('the first proof of a mailbox revokes the sessions, the password and the pending change of an earlier registration', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    // An attacker registers Ada's address, signs in and waits.
    await auth.register(ada);
    const attacker = await service.signIn();
    await auth.updateMe({ email: 'attacker@example.org', currentPassword: ada.password }, attacker.as);
    const change = await tokenFor(service, 'attacker@example.org');
    const { tokens } = await auth.signInWithMagicLink({ token: await linkOf(service) });
    expect((await refusalOf(auth.getMe({}, attacker.as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(sessions.refresh({ refreshToken: attacker.tokens.refreshToken }))).reason).toBe(
      'SESSION_REVOKED',
    );
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    expect((await refusalOf(auth.confirmEmailChange({ token: change }))).reason).toBe(
      'VERIFICATION_TOKEN_USED_OR_EXPIRED',
    );
    expect((await auth.getMe({}, bearer(tokens!))).user).toMatchObject({ emailVerified: true, pendingEmail: '' });
    // Ada makes the account her own with a password.
    await auth.requestPasswordReset({ email: ada.email });
    await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword: 'a second difference' });
    await auth.signIn({ email: ada.email, password: 'a second difference' });
  });

  test('a user whose address was verified before keeps the password and the sessions', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
    const { as } = await service.signIn();
    await auth.signInWithMagicLink({ token: await linkOf(service) });
    await auth.getMe({}, as);
    await auth.signIn(ada);
  });
});

test.each(wires)('over %s: of twenty sign-ins with one link one succeeds', async (wire) => {
  const barrier = new Barrier('SignInWithMagicLink');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  await service.welcome();
  const token = await linkOf(service);
  barrier.expect(crowd);
  const { answers, errors } = await together((n) => service.clients(wire, n).auth.signInWithMagicLink({ token }));
  expect(answers).toHaveLength(1);
  for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe('OTP_EXPIRED');
  const opened = `select from sessions where amr @> '[{"method": "magiclink"}]'`;
  expect(await service.database.query(opened)).toHaveLength(1);
});
