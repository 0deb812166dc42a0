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

/** Requests the link and reads its token. */
async function resetTokenOf(service: TestService) {
  await service.clients('json').auth.requestPasswordReset({ email: ada.email });
  return tokenFor(service, ada.email);
}

describe.each(wires)('over %s', (wire) => {
  test('a password change revokes every other session, voids every link and renews the tokens of its own session', async () => {
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
    for (const { accessToken } of [tokens, older!]) {
      const refusal = await refusalOf(auth.getMe({}, bearer({ accessToken })));
      expect(refusal).toMatchObject({ code: Code.Unauthenticated, reason: 'TOKEN_SUPERSEDED' });
      expect(await sessions.introspect({ token: accessToken }, asService)).toMatchObject({ active: false });
    }
    await auth.getMe({}, bearer(changed.tokens!));
    const refreshed = await sessions.refresh({ refreshToken: changed.tokens!.refreshToken });
    const { sessions: own } = await sessions.listSessions({}, bearer(refreshed.tokens!));
    expect(own.find(({ current }) => current)!.id).toBe(session.id);
    expect((await mailsTo(service, ada.email)).at(-1)!.subject).toBe('Your password was changed');
    const events = await service.database.query(
      `select result from audit_events where action = 'auth.password_change'`,
    );
    expect(events).toEqual([{ result: 'SUCCESS' }]);
  });

  test('a session keeps its tokens when the request asks for that', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { as, tokens } = await service.welcome();
    const other = await service.signIn();
    const currentSession = CurrentSession.KEEP;
    const changed = await auth.changePassword({ currentPassword: ada.password, newPassword, currentSession }, as);
    expect(changed.tokens).toBeUndefined();
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    await auth.getMe({}, as);
    expect((await refusalOf(auth.getMe({}, other.as))).reason).toBe('SESSION_REVOKED');
  });

  test('a wrong current, an equal or a weak new password changes nothing', async () => {
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
    expect(refusal).toMatchObject({ reason: 'PASSWORD_NOT_SET', metadata: {} });
  });

  test('a user whose password the first proof of the mailbox has removed is not asked for it', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await admin.createUser(ada, asService);
    await auth.requestMagicLink({ email: ada.email });
    const { tokens } = await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
    const as = bearer(tokens!);
    const refused = [
      () => auth.changePassword({ currentPassword: ada.password, newPassword }, as),
      () => auth.updateMe({ email: 'countess@example.org' }, as),
      () => auth.updateMe({ email: 'countess@example.org', currentPassword: ada.password }, as),
    ];
    for (const call of refused) expect((await refusalOf(call())).reason).toBe('PASSWORD_NOT_SET');
  });

  test('a user who must change the password can do only that, and everything afterwards', async () => {
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
});

test('of twenty parallel password changes one succeeds', async () => {
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
  // The one that succeeded has replaced the access token of all.
  for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe('TOKEN_SUPERSEDED');
});
