// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const newPassword = 'the second difference';

async function auditOf({ database }: TestService, action: string) {
  return database.query<{ result: string; cause: string | null; user_id: string | null }>(
    'select result, cause, user_id from audit_events where action = $1 order by id',
    [action],
  );
}

/** Has the link sent and reads it. */
async function resetTokenOf(service: TestService, { email }: { email: string } = ada) {
  await service.clients('json').auth.requestPasswordReset({ email });
  return tokenFor(service, email);
}

describe.each(wires)('over %s', (wire) => {
  test('a changed password replaces the old one, ends every other session and every link, and renews its own session', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { as, tokens, session } = await service.welcome();
    const others = [await service.signIn(), await service.signIn(), await service.signIn()];
    const reset = await resetTokenOf(service);
    await auth.requestMagicLink({ email: ada.email });
    const magic = await tokenFor(service, ada.email);
    const { tokens: older } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    const changed = await auth.changePassword({ currentPassword: ada.password, newPassword }, as);
    expect(changed.user).toMatchObject({ mustChangePassword: false });
    for (const { refreshToken } of [tokens, older!])
      expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('REFRESH_TOKEN_SUPERSEDED');
    for (const each of others) expect((await refusalOf(auth.getMe({}, each.as))).reason).toBe('SESSION_REVOKED');
    expect(await auth.verifyResetToken({ token: reset })).toMatchObject({ valid: false });
    expect((await refusalOf(auth.signInWithMagicLink({ token: magic }))).reason).toBe('OTP_EXPIRED');
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    await auth.signIn({ email: ada.email, password: newPassword });
    await auth.getMe({}, bearer(changed.tokens!));
    const refreshed = await sessions.refresh({ refreshToken: changed.tokens!.refreshToken });
    const { sessions: own } = await sessions.listSessions({}, bearer(refreshed.tokens!));
    expect(own.find(({ current }) => current)!.id).toBe(session.id);
    expect((await mailsTo(service, ada.email)).at(-1)!.subject).toBe('Your password was changed');
    expect(await auditOf(service, 'auth.password_change')).toMatchObject([{ result: 'SUCCESS' }]);
  });

  test('a session that asks to be kept keeps its tokens when the password changes', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { as, tokens } = await service.welcome();
    const other = await service.signIn();
    const currentSession = CurrentSession.KEEP;
    const changed = await auth.changePassword({ currentPassword: ada.password, newPassword, currentSession }, as);
    expect(changed.tokens).toBeUndefined();
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    expect((await refusalOf(auth.getMe({}, other.as))).reason).toBe('SESSION_REVOKED');
  });

  test('no wrong, equal or weak password changes anything', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { as } = await service.welcome();
    const change = (currentPassword: string, newPassword: string) => () =>
      auth.changePassword({ currentPassword, newPassword }, as);
    const tries = {
      CURRENT_PASSWORD_INCORRECT: change('a wrong password', newPassword),
      SAME_PASSWORD: change(ada.password, ada.password),
      WEAK_PASSWORD: change(ada.password, 'password1'),
    };
    for (const [reason, call] of Object.entries(tries))
      expect((await refusalWithoutTrace(service.database, call)).reason).toBe(reason);
    const wrong = await refusalOf(change('a wrong password', newPassword)());
    expect([wrong.code, wrong.message]).toEqual([Code.Unauthenticated, 'Current password is incorrect']);
    await admin.createUser({ email: bob.email }, asService);
    await auth.requestMagicLink({ email: bob.email });
    const { tokens } = await auth.signInWithMagicLink({ token: await tokenFor(service, bob.email) });
    const setFirst = () => auth.changePassword({ currentPassword: 'anything', newPassword }, bearer(tokens!));
    const refusal = await refusalWithoutTrace(service.database, setFirst);
    expect(refusal).toMatchObject({ reason: 'USE_OAUTH_PROVIDER', metadata: { providers: '' } });
  });

  test('who must change the password is let in to do so, and to everything afterwards', async () => {
    const service = await start();
    const { auth, admin, sessions } = service.clients(wire);
    await admin.createUser({ ...ada, mustChangePassword: true }, asService);
    const { tokens } = await auth.signIn(ada);
    expect(tokens!.mustChangePassword).toBe(true);
    const as = bearer(tokens!);
    expect((await refusalOf(auth.updateMe({ name: 'x' }, as))).reason).toBe('PASSWORD_CHANGE_REQUIRED');
    const changed = await auth.changePassword({ currentPassword: ada.password, newPassword }, as);
    expect(changed.tokens!.mustChangePassword).toBe(false);
    await auth.updateMe({ name: 'x' }, bearer(changed.tokens!));
    const refreshed = await sessions.refresh({ refreshToken: changed.tokens!.refreshToken });
    expect(refreshed.tokens!.mustChangePassword).toBe(false);
  });

  test('a reset link can be looked at, works once, ends all sessions and proves the mailbox', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await admin.createUser({ ...ada, mustChangePassword: true }, asService);
    const { as } = await service.signIn();
    const token = await resetTokenOf(service);
    for (let i = 0; i < 2; i++)
      expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: true, email: ada.email });
    expect(await auth.resetPassword({ token, newPassword })).toMatchObject({});
    expect(await refusalOf(auth.resetPassword({ token, newPassword: 'a third phrase' }))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'RESET_TOKEN_USED_OR_EXPIRED',
      message: 'Reset token has already been used or has expired',
    });
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    const { user } = await auth.signIn({ email: ada.email, password: newPassword });
    expect(user).toMatchObject({ emailVerified: true, mustChangePassword: false });
    expect((await mailsTo(service, ada.email)).map(({ subject }) => subject)).toEqual([
      'Reset your password',
      'Your password was changed',
    ]);
    const events = await auditOf(service, 'auth.password_reset.complete');
    expect(events).toMatchObject([{ result: 'SUCCESS' }, { result: 'FAILURE', cause: 'used_or_expired' }]);
  });

  test('what is wrong with the new password leaves the link usable', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    const token = await resetTokenOf(service);
    expect(await refusalOf(auth.resetPassword({ token }))).toMatchObject({
      code: Code.InvalidArgument,
      reason: 'PASSWORD_REQUIRED',
    });
    for (const weak of ['short', 'password1'])
      expect((await refusalOf(auth.resetPassword({ token, newPassword: weak }))).reason).toBe('WEAK_PASSWORD');
    await auth.resetPassword({ token, newPassword });
  });

  test('garbage, links of other kinds and those that have expired reset nothing', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { tokens } = await service.welcome();
    await auth.requestMagicLink({ email: ada.email });
    const magic = await tokenFor(service, ada.email);
    await auth.sendVerificationEmail({ email: ada.email });
    const verification = await tokenFor(service, ada.email);
    const garbage = [`ghot_${'A'.repeat(32)}`, 'nonsense', tokens.refreshToken.slice(0, 128), magic, verification];
    for (const token of garbage) {
      expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: false, email: '' });
      expect(
        await refusalWithoutTrace(service.database, () => auth.resetPassword({ token, newPassword })),
      ).toMatchObject({ reason: 'RESET_TOKEN_INVALID', message: 'Invalid or expired reset token' });
    }
    const token = await resetTokenOf(service);
    service.pass(3600 + 1);
    expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: false });
    const late = await refusalWithoutTrace(service.database, () => auth.resetPassword({ token, newPassword }));
    expect(late.reason).toBe('RESET_TOKEN_USED_OR_EXPIRED');
    expect((await refusalOf(auth.resetPassword({ newPassword }))).message).toBe('Token is required');
  });

  test('asking for a reset answers everybody the same, and only who has a password gets a mail', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await service.welcome();
    await admin.createUser({ email: 'without@example.org' }, asService);
    for (const name of ['banned', 'deleted'] as const) {
      const { user } = await admin.createUser({ email: `${name}@example.org`, password: ada.password }, asService);
      if (name === 'banned') await admin.banUser({ userId: user!.id }, asService);
      else await admin.deleteUser({ userId: user!.id }, asService);
    }
    const names = ['ada', 'without', 'banned', 'deleted', 'unknown'];
    const answers = [];
    for (const name of names) answers.push(await auth.requestPasswordReset({ email: `${name}@example.org` }));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    for (const name of names)
      expect(await mailsTo(service, `${name}@example.org`), name).toHaveLength(name === 'ada' ? 1 : 0);
    const [rows] = await service.database.query<{ mails: number }>('select count(*)::int as mails from mail_outbox');
    expect(rows!.mails).toBe(1);
    expect((await auditOf(service, 'auth.password_reset.request')).map(({ cause }) => cause)).toEqual([
      null,
      'not_for_this_user',
      'not_for_this_user',
      'unknown_email',
      'unknown_email',
    ]);
  });

  test('a second link voids the first, and neither comes within a minute of the other', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    const first = await resetTokenOf(service);
    service.pass(50);
    expect(await resetTokenOf(service), 'no second mail').toBe(first);
    expect(await auth.verifyResetToken({ token: first })).toMatchObject({ valid: true });
    service.pass(11);
    const second = await resetTokenOf(service);
    expect(second).not.toBe(first);
    expect(await auth.verifyResetToken({ token: first })).toMatchObject({ valid: false });
    expect(await auth.verifyResetToken({ token: second })).toMatchObject({ valid: true });
  });
});

test.each(wires)(
  'over %s: of twenty resets with one link and different passwords one succeeds, and its password is the one',
  async (wire) => {
    const barrier = new Barrier('ResetPassword');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    await service.welcome();
    const token = await resetTokenOf(service);
    barrier.expect(crowd);
    const passwordOf = (n: number) => `a phrase with the number ${n}`;
    const { answers, errors } = await together(async (n) => {
      await service.clients(wire, n).auth.resetPassword({ token, newPassword: passwordOf(n) });
      return n;
    });
    expect(answers).toHaveLength(1);
    for (const error of errors)
      expect((await refusalOf(Promise.reject(error))).reason).toBe('RESET_TOKEN_USED_OR_EXPIRED');
    const { auth } = service.clients('json');
    for (let n = 0; n < crowd; n++) {
      const signIn = auth.signIn({ email: ada.email, password: passwordOf(n) });
      if (n === answers[0]) await signIn;
      else expect((await refusalOf(signIn)).reason).toBe('INVALID_CREDENTIALS');
    }
  },
);

test('of two changes of a password at once one succeeds', async () => {
  const barrier = new Barrier('ChangePassword');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const { as } = await service.welcome();
  barrier.expect(crowd);
  const { answers, errors } = await together((n) =>
    service
      .clients('grpc', n)
      .auth.changePassword({ currentPassword: ada.password, newPassword: `phrase no ${n}` }, as),
  );
  expect(answers).toHaveLength(1);
  for (const error of errors)
    expect((await refusalOf(Promise.reject(error))).reason).toBe('CURRENT_PASSWORD_INCORRECT');
});
