// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { lastMail, mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const countess = 'countess@example.org';

/** Signs ada in, requests a change to the countess's address and reads the token of its link. */
async function pendingChange(service: TestService, env = { email: countess }) {
  const { auth } = service.clients('json');
  const { as, user } = await service.welcome();
  await auth.updateMe({ ...env, currentPassword: ada.password }, as);
  return { as, user, token: await tokenFor(service, env.email) };
}

describe.each(wires)('over %s', (wire) => {
  test('registering sends one mail, and its link verifies the address once', async () => {
    const service = await start({ env: { FRONTEND_URL: 'https://app.example.org/account/' } });
    const { auth } = service.clients(wire);
    const { user, tokens } = await auth.register(ada);
    expect([user!.emailVerified, tokens]).toEqual([false, undefined]);
    const mails = await mailsTo(service, ada.email);
    expect(mails).toHaveLength(1);
    expect(mails[0]!.link).toMatch(/^https:\/\/app\.example\.org\/account\/verify-email\?token=ghot_/);
    const { token } = mails[0]!;
    await auth.verifyEmail({ token });
    const { as } = await service.signIn();
    expect((await auth.getMe({}, as)).user).toMatchObject({ emailVerified: true });
    expect(await refusalOf(auth.verifyEmail({ token }))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'VERIFICATION_TOKEN_USED_OR_EXPIRED',
      message: 'Verification token has already been used or has expired',
    });
    expect(await refusalOf(auth.verifyEmail({}))).toMatchObject({
      code: Code.InvalidArgument,
      message: 'Token is required',
    });
    expect((await refusalOf(auth.verifyEmail({ token: 'nonsense' }))).message).toBe(
      'Invalid or expired verification token',
    );
    const events = await service.database.query(
      `select user_id from audit_events where action = 'auth.email_verified'`,
    );
    expect(events).toEqual([{ user_id: user!.id }]);
  });

  test.each([
    ['verification is off', { EMAIL_VERIFICATION: 'off' }],
    ['addresses are confirmed automatically', { AUTO_CONFIRM_EMAIL: 'on' }],
  ])('registering sends no mail when %s', async (_, env) => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    await auth.register(ada);
    expect(await mailsTo(service, ada.email)).toEqual([]);
    const status = { enabled: !('EMAIL_VERIFICATION' in env) };
    expect(await auth.getEmailVerificationStatus({})).toMatchObject(status);
    expect((await auth.getSettings({})).emailVerificationEnabled).toBe(status.enabled);
  });

  test('a user whose address is not verified can have the link sent again', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await auth.register(ada);
    const first = await tokenFor(service, ada.email);
    const { as } = await service.signIn();
    await auth.sendVerificationEmail({}, as);
    const second = await tokenFor(service, ada.email);
    expect((await refusalOf(auth.verifyEmail({ token: first }))).reason).toBe('VERIFICATION_TOKEN_USED_OR_EXPIRED');
    await auth.verifyEmail({ token: second }, as);
    expect(await refusalOf(auth.sendVerificationEmail({}, as))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'EMAIL_ALREADY_VERIFIED',
      message: 'Email is already verified',
    });
    const guest = await service.guest();
    expect((await refusalOf(auth.sendVerificationEmail({}, guest.as))).reason).toBe('GUEST_NOT_ALLOWED');
    expect((await refusalOf(auth.sendVerificationEmail({}))).reason).toBe('AUTHENTICATION_REQUIRED');
  });

  test('the response is the same for every address, and only a registered and unverified one gets a mail', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await admin.createUser(ada, asService);
    await admin.createUser({ ...bob, emailVerified: true }, asService);
    const addresses = [ada.email, bob.email, 'unknown@example.org'];
    for (const email of addresses) expect(await auth.sendVerificationEmail({ email })).toMatchObject({});
    const mails = await Promise.all(addresses.map(async (each) => (await mailsTo(service, each)).length));
    expect(mails).toEqual([1, 0, 0]);
  });

  test('while verification is off no link can be requested', async () => {
    const service = await start({ env: { EMAIL_VERIFICATION: 'off' } });
    const { auth } = service.clients(wire);
    const { as } = await service.welcome();
    for (const [request, options] of [[{}, as], [{ email: ada.email }]] as const)
      expect(await refusalOf(auth.sendVerificationEmail(request, options))).toMatchObject({
        code: Code.PermissionDenied,
        reason: 'EMAIL_VERIFICATION_DISABLED',
        message: 'Email verification is currently disabled',
      });
  });

  test('where addresses must be verified, the right password alone does not sign the user in', async () => {
    const service = await start({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
    const { auth } = service.clients(wire);
    await auth.register(ada);
    expect((await refusalOf(auth.signIn({ ...ada, password: 'wrong' }))).reason).toBe('INVALID_CREDENTIALS');
    expect(await refusalOf(auth.signIn(ada))).toMatchObject({
      code: Code.PermissionDenied,
      reason: 'EMAIL_NOT_VERIFIED',
    });
    await auth.verifyEmail({ token: await tokenFor(service, ada.email) });
    await auth.signIn(ada);
  });

  test('where addresses must be verified, the sessions of a guest who registers are revoked until they sign in with a verified address', async () => {
    const service = await start({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
    const { auth, sessions } = service.clients(wire);
    const guest = await service.guest();
    const { user } = await auth.register(ada, guest.as);
    expect(user!.id).toBe(guest.user.id);
    expect((await refusalOf(auth.getMe({}, guest.as))).reason).toBe('SESSION_REVOKED');
    const { refreshToken } = guest.tokens;
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
    await auth.verifyEmail({ token: await tokenFor(service, ada.email) });
    expect((await service.signIn(ada)).user.id).toBe(guest.user.id);
  });

  test('a new address is pending until its link is used; the notice to the old address does not contain it', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { as, user, token } = await pendingChange(service);
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: ada.email, pendingEmail: countess });
    await auth.signIn(ada);
    const notice = await lastMail(service, ada.email);
    expect([notice.subject, notice.link]).toEqual(['Your e-mail address is about to change', '']);
    expect(notice.text).not.toContain('countess');
    expect((await lastMail(service, countess)).link).toContain('/confirm-email-change?token=');
    await auth.confirmEmailChange({ token });
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: countess, emailVerified: true, pendingEmail: '' });
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    await auth.signIn({ email: countess, password: ada.password });
    expect((await lastMail(service, ada.email)).subject).toBe('Your e-mail address was changed');
    expect((await refusalOf(auth.confirmEmailChange({ token }))).reason).toBe('VERIFICATION_TOKEN_USED_OR_EXPIRED');
    const actions = await service.database.query<{ action: string }>(
      `select action from audit_events where user_id = $1 and action like 'auth.email_change%' order by id`,
      [user.id],
    );
    expect(actions.map(({ action }) => action)).toEqual(['auth.email_change.request', 'auth.email_change.complete']);
  });

  test('an address is changed only with the password, and only to one that is free', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { as } = await service.welcome();
    await admin.createUser(bob, asService);
    const refused = async (email: string, currentPassword?: string) => {
      const request = { email, ...(currentPassword && { currentPassword }) };
      return refusalWithoutTrace(service.database, () => auth.updateMe(request, as));
    };
    expect(await refused(countess)).toMatchObject({
      code: Code.InvalidArgument,
      reason: 'CURRENT_PASSWORD_REQUIRED',
      message: 'Current password is required to change email',
    });
    expect(await refused(countess, 'a wrong password')).toMatchObject({
      code: Code.Unauthenticated,
      reason: 'CURRENT_PASSWORD_INCORRECT',
      message: 'Current password is incorrect',
    });
    expect((await refused('BOB@example.org', ada.password)).reason).toBe('EMAIL_ALREADY_REGISTERED');
    await admin.createUser({ email: 'eve@example.org' }, asService);
    await auth.requestMagicLink({ email: 'eve@example.org' });
    const eve = await auth.signInWithMagicLink({ token: await tokenFor(service, 'eve@example.org') });
    const asEve = { headers: { authorization: `Bearer ${eve.tokens!.accessToken}` } };
    for (const currentPassword of ['', 'anything'])
      expect((await refusalOf(auth.updateMe({ email: countess, currentPassword }, asEve))).reason).toBe(
        'PASSWORD_NOT_SET',
      );
  });

  test('an address that was taken meanwhile is refused, and nothing changes', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { as, token } = await pendingChange(service);
    await admin.createUser({ ...bob, email: countess }, asService);
    const refusal = await refusalWithoutTrace(service.database, () => auth.confirmEmailChange({ token }));
    expect(refusal).toMatchObject({ code: Code.AlreadyExists, reason: 'EMAIL_ALREADY_REGISTERED' });
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: ada.email, pendingEmail: countess });
  });

  test('links of other kinds, of other users and of a withdrawn change do not change the address', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { as, token } = await pendingChange(service);
    const { as: asBob } = await service.welcome(bob);
    await auth.requestPasswordReset({ email: ada.email });
    const reset = await tokenFor(service, ada.email);
    const unchanged = (call: () => Promise<unknown>) => refusalWithoutTrace(service.database, call);
    for (const call of [
      () => auth.confirmEmailChange({ token: reset }),
      () => auth.confirmEmailChange({ token }, asBob),
      () => auth.verifyEmail({ token }),
    ])
      expect((await unchanged(call)).reason).toBe('VERIFICATION_TOKEN_INVALID');
    await auth.updateMe({ email: ada.email }, as);
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: ada.email, pendingEmail: '' });
    expect((await unchanged(() => auth.confirmEmailChange({ token }))).reason).toBe(
      'VERIFICATION_TOKEN_USED_OR_EXPIRED',
    );
  });

  test('after a change the links to the old address are void, and a pending address gets no other mail', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { token } = await pendingChange(service);
    await auth.sendVerificationEmail({ email: ada.email });
    const verification = await tokenFor(service, ada.email);
    await auth.requestPasswordReset({ email: countess });
    expect((await mailsTo(service, countess)).map(({ subject }) => subject)).toEqual([
      'Confirm your new e-mail address',
    ]);
    await auth.requestPasswordReset({ email: ada.email });
    const reset = await tokenFor(service, ada.email);
    await auth.confirmEmailChange({ token });
    expect((await refusalOf(auth.verifyEmail({ token: verification }))).reason).toBe(
      'VERIFICATION_TOKEN_USED_OR_EXPIRED',
    );
    expect(await auth.verifyResetToken({ token: reset })).toMatchObject({ valid: false });
  });
});

test.each(wires)('over %s: of twenty calls with one link one succeeds', async (wire) => {
  const barrier = new Barrier('VerifyEmail');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  await service.clients('json').auth.register(ada);
  const token = await tokenFor(service, ada.email);
  barrier.expect(crowd);
  const { answers, errors } = await together((n) => service.clients(wire, n).auth.verifyEmail({ token }));
  expect(answers).toHaveLength(1);
  for (const error of errors)
    expect((await refusalOf(Promise.reject(error))).reason).toBe('VERIFICATION_TOKEN_USED_OR_EXPIRED');
});

test('of two users who confirm the same address at once one succeeds', async () => {
  const barrier = new Barrier('ConfirmEmailChange');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()], env: { MAIL_GAP: '0s' } });
  const { auth } = service.clients('json');
  const tokens: string[] = [];
  for (const person of [ada, bob]) {
    const { as } = await service.welcome(person);
    await auth.updateMe({ email: countess, currentPassword: person.password }, as);
    tokens.push(await tokenFor(service, countess));
  }
  barrier.expect(crowd);
  const { answers, errors } = await together((n) =>
    service.clients('grpc', n).auth.confirmEmailChange({ token: tokens[n % 2]! }),
  );
  expect(answers).toHaveLength(1);
  const reasons = await Promise.all(errors.map(async (each) => (await refusalOf(Promise.reject(each))).reason));
  expect(new Set(reasons)).toEqual(new Set(['EMAIL_ALREADY_REGISTERED', 'VERIFICATION_TOKEN_USED_OR_EXPIRED']));
  const owners = await service.database.query('select 1 from users where email_key = $1', [countess]);
  expect(owners).toHaveLength(1);
});

test.each(wires)('over %s: a link is refused when the address changes after the link was looked at', async (wire) => {
  const service = await start();
  const { auth } = service.clients(wire);
  const { user } = await service.welcome();
  await auth.sendVerificationEmail({ email: ada.email });
  const verifying = await tokenFor(service, ada.email);
  await auth.requestMagicLink({ email: ada.email });
  const entering = await tokenFor(service, ada.email);
  const move = `update users set email = $2, email_key = $2 where id = $1`;
  const refusedMeanwhile = async (call: () => Promise<unknown>) => {
    await service.database.query(move, [user.id, ada.email]);
    const commit = await service.database.hold(move, [user.id, countess]);
    const refusal = refusalOf(call());
    // By now the call has consumed the value and waits for the user's row.
    await service.database.blocked(1);
    await commit();
    return (await refusal).reason;
  };
  expect(await refusedMeanwhile(() => auth.verifyEmail({ token: verifying }))).toBe(
    'VERIFICATION_TOKEN_USED_OR_EXPIRED',
  );
  expect(await refusedMeanwhile(() => auth.signInWithMagicLink({ token: entering }))).toBe('OTP_EXPIRED');
  const [row] = await service.database.query('select email, email_verified_at from users');
  expect(row).toEqual({ email: countess, email_verified_at: null });
});
