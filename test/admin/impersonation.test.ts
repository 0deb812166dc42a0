// @serializable
import { describe, expect, test } from 'vitest';
import { ActorKind, AuditResult } from '../../gen/gatehouse/v1/admin_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { partsOf } from '../support/forge.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob, grace } from '../support/people.ts';
import { Pause } from '../support/race.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

type Operator = Awaited<ReturnType<TestService['operator']>>;

const newPassword = { currentPassword: grace.password, newPassword: 'a compiler of another' };
const everywhere = { scope: SignOutScope.GLOBAL };
const others = { scope: SignOutScope.OTHERS };
const sessionsOf = (value: string) => ({ whose: { case: 'userId', value } as const });

async function resetPassword(service: TestService): Promise<void> {
  const { auth } = service.clients('json');
  await auth.requestPasswordReset({ email: grace.email });
  await auth.resetPassword({ token: await tokenFor(service, grace.email), newPassword: 'a compiler of another' });
}

async function banShortly(service: TestService, userId: string): Promise<void> {
  const { admin } = service.clients('json');
  await admin.banUser({ userId }, asService);
  await admin.unbanUser({ userId }, asService);
}

/** The operator grace acts as ada. */
async function acting(service: TestService, wire: (typeof wires)[number] = 'json') {
  const operator = await service.operator();
  const own = await service.welcome(ada);
  const { tokens, session } = await service.clients(wire).admin.impersonateUser({ userId: own.user.id }, operator.as);
  return { operator, own, tokens: tokens!, session: session!, as: bearer(tokens!) };
}

describe.each(wires)('over %s', (wire) => {
  test('an operator reads what the user reads, in a session and with tokens that name the operator', async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients(wire);
    const { operator, own, tokens, session, as } = await acting(service, wire);
    expect((await auth.getMe({}, as)).user!.id).toBe(own.user.id);
    const { claims } = partsOf(tokens.accessToken);
    expect(claims).toMatchObject({
      sub: own.user.id,
      act: { sub: operator.user.id },
      amr: [{ method: 'impersonation' }],
      session_id: session.id,
    });
    expect(claims.gatehouse_role).toBeUndefined();
    const { sessions: listed } = await sessions.listSessions({}, own.as);
    expect(listed.map(({ impersonatorId }) => impersonatorId)).toEqual([operator.user.id, '']);
    const state = await sessions.introspect({ token: tokens.accessToken }, asService);
    expect(state).toMatchObject({ userId: own.user.id, impersonatorId: operator.user.id });
    const { events } = await admin.listAuditEvents({ action: 'user.impersonate' }, operator.as);
    expect(events).toMatchObject([
      {
        actorKind: ActorKind.USER,
        actorId: operator.user.id,
        userId: own.user.id,
        sessionId: session.id,
        result: AuditResult.SUCCESS,
      },
    ]);
  });

  test('the response has the account summary that GetMe returns to the user, and none for a guest', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const operator = await service.operator();
    const own = await service.welcome(ada);
    const { account } = await admin.impersonateUser({ userId: own.user.id }, operator.as);
    expect(account!.account!.id).toBe(own.account.id);
    expect(account).toEqual((await auth.getMe({}, own.as)).account);
    const guest = await service.guest();
    expect((await admin.impersonateUser({ userId: guest.user.id }, operator.as)).account).toBeUndefined();
  });

  test('an impersonated session may change nothing, and may not call AdminService', async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients(wire);
    const { own, as } = await acting(service, wire);
    const { sessions: listed } = await sessions.listSessions({}, as);
    const sessionId = listed.find(({ current }) => !current)!.id;
    for (const call of [
      () => sessions.revokeSession({ sessionId }, as),
      () => auth.register(bob, as),
      () => admin.updateUser({ userId: own.user.id, name: 'Mallory' }, as),
      () => admin.impersonateUser({ userId: own.user.id }, as),
    ])
      expect(await refusalWithoutTrace(service.database, call)).toMatchObject({
        code: 7,
        reason: 'IMPERSONATION_NOT_ALLOWED',
      });
    expect((await refusalOf(admin.getSettings({}, as))).reason).toBe('CALLER_NOT_ALLOWED');
  });

  test('an impersonated session ends within an hour, however often it is refreshed, and no token outlasts it', async () => {
    const service = await start({ env: { ACCESS_TOKEN_LIFETIME: '3000' } });
    const { sessions, auth } = service.clients(wire);
    const { tokens } = await acting(service, wire);
    service.pass(1800);
    const { tokens: next } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    const { claims } = partsOf(next!.accessToken);
    expect(Number(claims.exp) - Number(claims.iat)).toBeLessThanOrEqual(1800);
    expect(Number(next!.expiresIn!.seconds)).toBe(Number(claims.exp) - Number(claims.iat));
    await auth.getMe({}, bearer(next!));
    service.pass(1801);
    expect((await refusalOf(sessions.refresh({ refreshToken: next!.refreshToken }))).reason).toBe('SESSION_EXPIRED');
    expect((await refusalOf(auth.getMe({}, bearer(next!)))).code).toBe(16);
  });

  test("an impersonated session ends with the operator's role, and the user can revoke it", async () => {
    const service = await start();
    const { sessions, auth, admin } = service.clients(wire);
    const { operator, own, tokens, session, as } = await acting(service, wire);
    const second = await admin.impersonateUser({ userId: own.user.id }, operator.as);
    await sessions.revokeSession({ sessionId: second.session!.id }, own.as);
    expect((await refusalOf(auth.getMe({}, bearer(second.tokens!)))).reason).toBe('SESSION_REVOKED');
    await auth.getMe({}, as);
    await admin.updateUser({ userId: operator.user.id, role: SystemRole.ENGINEER }, asService);
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect((await sessions.introspect({ token: tokens.accessToken }, asService)).active).toBe(false);
    const { sessions: listed } = await sessions.listSessions({}, own.as);
    expect(listed.map(({ id }) => id)).not.toContain(session.id);
  });

  test('SignOut ends only the impersonated session, whatever the scope, and its audit event names the operator', async () => {
    const service = await start();
    const { sessions, auth, admin } = service.clients(wire);
    const { operator, own, as } = await acting(service, wire);
    await sessions.signOut({ scope: SignOutScope.GLOBAL }, as);
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    await auth.getMe({}, own.as);
    const { events } = await admin.listAuditEvents({ userId: own.user.id, pageSize: 1 }, operator.as);
    expect(events).toMatchObject([{ action: 'auth.logout', actorId: operator.user.id, userId: own.user.id }]);
  });

  test.each<[what: string, end: (service: TestService, as: Operator) => Promise<unknown>]>([
    ['a new password', ({ clients }, { as }) => clients(wire).auth.changePassword(newPassword, as)],
    ['a reset of the password', (service) => resetPassword(service)],
    ['signing out everywhere', ({ clients }, { as }) => clients(wire).sessions.signOut(everywhere, as)],
    ['signing out everywhere else', ({ clients }, { as }) => clients(wire).sessions.signOut(others, as)],
    ['an operator', ({ clients }, { user }) => clients(wire).admin.revokeUserSessions(sessionsOf(user.id), asService)],
    ['a ban, also one that is lifted', (service, { user }) => banShortly(service, user.id)],
  ])("an impersonated session ends when %s ends the operator's sessions", async (_, end) => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { operator, own, tokens, as } = await acting(service, wire);
    await end(service, operator);
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
    await auth.getMe({}, own.as);
  });

  test('an impersonated session stays when the operator revokes one session of their own', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { operator, as } = await acting(service, wire);
    const { session } = await service.signIn(grace);
    await sessions.revokeSession({ sessionId: session.id }, operator.as);
    await sessions.signOut({ scope: SignOutScope.LOCAL }, operator.as);
    await auth.getMe({}, as);
  });

  test('impersonating an operator or a banned or deleted user is refused, and so is impersonation with a service key', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const operator = await service.operator();
    const other = await service.operator(bob);
    const { user } = await service.welcome(ada);
    const impersonate = (userId: string, as: { headers: Record<string, string> } = operator.as) =>
      refusalWithoutTrace(service.database, () => admin.impersonateUser({ userId }, as));
    expect((await impersonate(other.user.id)).reason).toBe('CANNOT_IMPERSONATE_OPERATOR');
    expect((await impersonate(user.id, asService)).reason).toBe('CALLER_NOT_ALLOWED');
    await admin.banUser({ userId: user.id }, asService);
    expect((await impersonate(user.id)).reason).toBe('USER_BANNED');
    await admin.deleteUser({ userId: user.id }, asService);
    expect((await impersonate(user.id)).reason).toBe('USER_NOT_FOUND');
  });
});

test.each<[what: string, end: (service: TestService, as: Operator) => Promise<unknown>]>([
  ['signs out everywhere', ({ clients }, { as }) => clients('json').sessions.signOut(everywhere, as)],
  ['sets a new password', (service) => resetPassword(service)],
])('a stolen session of an operator opens no other session while the operator %s', async (_, end) => {
  const pause = new Pause('ImpersonateUser');
  const service = await start({ inner: [pause.interceptor()] });
  const operator = await service.operator();
  const stolen = await service.signIn(grace);
  const { user } = await service.welcome(ada);
  const reached = pause.next();
  const call = refusalOf(service.clients('grpc').admin.impersonateUser({ userId: user.id }, stolen.as));
  await reached;
  await end(service, operator);
  pause.resume();
  expect((await call).reason).toBe('SESSION_REVOKED');
});

test('a session that is opened for an operator who is signing out everywhere is revoked as well', async () => {
  const pause = new Pause('ImpersonateUser', 'commit');
  const service = await start({ inner: [pause.interceptor()] });
  const { admin, sessions, auth } = service.clients('grpc');
  const operator = await service.operator();
  const { user } = await service.welcome(ada);
  const reached = pause.next();
  const impersonating = admin.impersonateUser({ userId: user.id }, operator.as);
  await reached;
  const leaving = sessions.signOut(everywhere, operator.as);
  await service.database.blocked(1);
  pause.resume();
  const { tokens } = await impersonating;
  await leaving;
  expect((await refusalOf(auth.getMe({}, bearer(tokens!)))).reason).toBe('SESSION_REVOKED');
});
