// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const newPassword = 'the second difference';

async function auditOf({ database }: TestService, action: string) {
  return database.query<{ result: string; cause: string | null; user_id: string | null }>(
    'select result, cause, user_id from audit_events where action = $1 order by id',
    [action],
  );
}

/** Requests the link and reads its token. */
async function resetTokenOf(service: TestService) {
  await service.clients('json').auth.requestPasswordReset({ email: ada.email });
  return tokenFor(service, ada.email);
}

describe.each(wires)('over %s', (wire) => {
  test('a reset link can be checked, works once, revokes all sessions and verifies the address', async () => {
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

  test('a refused new password does not use up the link', async () => {
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

  test('malformed tokens, links of other kinds and expired links reset nothing', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { tokens } = await service.welcome();
    await auth.requestMagicLink({ email: ada.email });
    const magic = await tokenFor(service, ada.email);
    await auth.sendVerificationEmail({ email: ada.email });
    const verification = await tokenFor(service, ada.email);
    const garbage = [`ghot_${'A'.repeat(56)}`, 'nonsense', tokens.refreshToken.slice(0, 128), magic, verification];
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

  test('the response to a reset request is always the same, and only a user with a password gets a mail', async () => {
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
    const responses = [];
    for (const name of names) responses.push(await auth.requestPasswordReset({ email: `${name}@example.org` }));
    for (const response of responses) expect(response).toEqual(responses[0]);
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

  test('a second link voids the first, and is not sent within a minute of it', async () => {
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
  'over %s: of twenty resets with one link and different passwords one succeeds, and only its password signs in',
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
