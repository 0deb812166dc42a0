// @serializable
import { durationFromMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const nobody = '01900000-0000-7000-8000-000000000000';

describe.each(wires)('over %s', (wire) => {
  test('a service creates users, also where SIGN_UP is off', async () => {
    const service = await start({ env: { SIGN_UP: 'off' } });
    const { admin } = service.clients(wire);
    const { user } = await admin.createUser({ ...ada, emailVerified: true }, asService);
    expect(user).toMatchObject({ email: ada.email, name: 'Ada', emailVerified: true, mustChangePassword: false });
    expect((await admin.getUser({ userId: user!.id }, asService)).user).toMatchObject({
      ...{ id: user!.id, email: ada.email, name: 'Ada', emailVerified: true },
    });
    expect((await service.signIn(ada)).user.id).toBe(user!.id);
    const again = () => admin.createUser({ ...ada, email: 'ADA@example.org' }, asService);
    expect((await refusalWithoutTrace(service.database, again)).reason).toBe('EMAIL_ALREADY_REGISTERED');
    const weak = () => admin.createUser({ ...bob, password: 'iloveyou' }, asService);
    expect((await refusalWithoutTrace(service.database, weak)).reason).toBe('WEAK_PASSWORD');
    const { user: withoutPassword } = await admin.createUser({ email: bob.email }, asService);
    expect(withoutPassword).toMatchObject({ email: bob.email, emailVerified: false, name: '' });
  });

  test('only a service key or an operator may call AdminService', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { as, tokens, user } = await service.welcome();
    const calls = [
      (options: object) => admin.createUser(bob, options),
      (options: object) => admin.getUser({ userId: user.id }, options),
      (options: object) => admin.banUser({ userId: user.id }, options),
      (options: object) => admin.unbanUser({ userId: user.id }, options),
      (options: object) => admin.deleteUser({ userId: user.id }, options),
    ];
    for (const call of calls)
      for (const [options, code, reason] of [
        [{}, Code.Unauthenticated, 'AUTHENTICATION_REQUIRED'],
        [as, Code.PermissionDenied, 'CALLER_NOT_ALLOWED'],
        [bearer({ accessToken: tokens.refreshToken }), Code.Unauthenticated, 'TOKEN_INVALID'],
        [{ headers: { authorization: `Basic ${btoa('backend:key')}` } }, Code.Unauthenticated, 'TOKEN_INVALID'],
      ] as const)
        expect(await refusalWithoutTrace(service.database, () => call(options))).toMatchObject({ code, reason });
  });

  test('a service key is refused by methods for users', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { session } = await service.welcome();
    for (const call of [
      () => auth.getMe({}, asService),
      () => sessions.listSessions({}, asService),
      () => sessions.getSession({ sessionId: session.id }, asService),
      () => sessions.revokeSession({ sessionId: session.id }, asService),
    ])
      expect(await refusalOf(call())).toMatchObject({ code: Code.PermissionDenied, reason: 'CALLER_NOT_ALLOWED' });
  });

  test('a user who must change the password signs in, and may call nothing else until they have changed it', async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients(wire);
    await admin.createUser({ ...ada, mustChangePassword: true }, asService);
    const { user, tokens, session } = await auth.signIn(ada);
    expect([user!.mustChangePassword, tokens!.mustChangePassword]).toEqual([true, true]);
    const { tokens: refreshed } = await sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect(refreshed!.mustChangePassword).toBe(true);
    const as = bearer(refreshed!);
    expect((await auth.getMe({}, as)).user!.mustChangePassword).toBe(true);
    const introspected = await sessions.introspect({ token: refreshed!.accessToken }, asService);
    expect(introspected).toMatchObject({ active: true, mustChangePassword: true });
    for (const call of [
      () => sessions.listSessions({}, as),
      () => sessions.getSession({ sessionId: session!.id }, as),
      () => sessions.revokeSession({ sessionId: nobody }, as),
    ])
      expect(await refusalWithoutTrace(service.database, call)).toMatchObject({
        code: Code.PermissionDenied,
        reason: 'PASSWORD_CHANGE_REQUIRED',
      });
    await sessions.signOut({}, as);
  });

  test('a ban revokes every session at once, and refuses sign-ins until it ends', async () => {
    const service = await start({ replicas: 2 });
    const { auth, sessions, admin } = service.clients(wire);
    const { user, tokens, as } = await service.welcome();
    const other = await service.signIn();
    const bystander = await service.welcome(bob);
    const duration = durationFromMs(3600_000);
    const banned = (await admin.banUser({ userId: user.id, duration }, asService)).user!;
    const left = timestampDate(banned.bannedUntilTime!).getTime() - service.now().getTime();
    expect(Math.abs(left - 3600_000)).toBeLessThan(10_000);
    for (const replica of [0, 1]) {
      const clients = service.clients(wire, replica);
      for (const each of [tokens, other.tokens]) {
        const { refreshToken } = each;
        expect((await refusalOf(clients.sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
        expect((await refusalOf(clients.auth.getMe({}, bearer(each)))).reason).toBe('SESSION_REVOKED');
        expect((await clients.sessions.introspect({ token: each.accessToken }, asService)).active).toBe(false);
      }
    }
    expect(await refusalWithoutTrace(service.database, () => auth.signIn(ada))).toMatchObject({
      code: Code.PermissionDenied,
      reason: 'USER_BANNED',
    });
    const wrong = () => auth.signIn({ ...ada, password: 'a wrong password' });
    expect((await refusalWithoutTrace(service.database, wrong)).reason, 'told only to the user').toBe(
      'INVALID_CREDENTIALS',
    );
    await sessions.refresh({ refreshToken: bystander.tokens.refreshToken });

    service.pass(3601);
    const back = await auth.signIn(ada);
    expect(back.user!.bannedUntilTime).toBeUndefined();
    expect((await refusalOf(auth.getMe({}, as))).code).toBe(Code.Unauthenticated);
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
  });

  test('a ban without an end lasts until it is lifted, and the sessions that it revoked stay revoked', async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients(wire);
    const { user, tokens } = await service.welcome();
    const userId = user.id;
    await admin.banUser({ userId, duration: durationFromMs(1000) }, asService);
    await admin.banUser({ userId }, asService);
    service.pass(20 * 365 * 86_400);
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('USER_BANNED');
    service.pass(-20 * 365 * 86_400);
    expect((await admin.unbanUser({ userId }, asService)).user!.bannedUntilTime).toBeUndefined();
    await admin.unbanUser({ userId }, asService);
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect((await service.signIn(ada)).user.id).toBe(userId);
    for (const ms of [999, 0, -1000, 3155760000_001])
      expect((await refusalOf(admin.banUser({ userId, duration: durationFromMs(ms) }, asService))).fields).toEqual([
        'duration',
      ]);
  });

  test('a banned guest cannot register', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const guest = await service.guest();
    await admin.banUser({ userId: guest.user.id }, asService);
    const upgrade = () => auth.register(ada, guest.as);
    expect((await refusalWithoutTrace(service.database, upgrade)).reason).toBe('SESSION_REVOKED');
  });

  test('deleting a user revokes all sessions at once, and deletes their personal data', async () => {
    const service = await start({ replicas: 2 });
    const { admin } = service.clients(wire);
    const { user, tokens } = await service.welcome();
    const other = await service.signIn();
    await admin.deleteUser({ userId: user.id }, asService);
    for (const replica of [0, 1]) {
      const { auth, sessions } = service.clients(wire, replica);
      for (const each of [tokens, other.tokens]) {
        const { refreshToken } = each;
        expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
        expect((await refusalOf(auth.getMe({}, bearer(each)))).reason).toBe('SESSION_REVOKED');
        expect((await sessions.introspect({ token: each.accessToken }, asService)).active).toBe(false);
      }
      const gone = await refusalOf(auth.signIn(ada));
      expect(gone).toEqual(await refusalOf(auth.signIn({ ...ada, email: 'nobody@example.org' })));
    }
    const [row] = await service.database.query('select * from users where id = $1', [user.id]);
    expect(row).toMatchObject({ email: null, email_key: null, password_hash: null, name: '', email_verified_at: null });
    for (const call of [admin.getUser, admin.banUser, admin.unbanUser, admin.deleteUser])
      expect(await refusalWithoutTrace(service.database, () => call({ userId: user.id }, asService))).toMatchObject({
        code: Code.NotFound,
        reason: 'USER_NOT_FOUND',
      });
  });

  test("the address of a deleted user can be registered again, by a new user without the old one's rights", async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients(wire);
    const old = await service.welcome();
    await admin.deleteUser({ userId: old.user.id }, asService);
    const { user } = await auth.register({ ...ada, password: 'another engine altogether' });
    expect(user!.id).not.toBe(old.user.id);
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    expect((await refusalOf(auth.getMe({}, old.as))).reason).toBe('SESSION_REVOKED');
    const { refreshToken } = old.tokens;
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
    const events = await service.database.query('select action from audit_events where user_id = $1 order by id', [
      user!.id,
    ]);
    expect(events).toEqual([{ action: 'auth.register' }, { action: 'auth.login_failed' }]);
  });

  test('an unknown user is not found, and a malformed id is a bad request', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    for (const call of [admin.getUser, admin.banUser, admin.unbanUser, admin.deleteUser]) {
      const missing = () => call({ userId: nobody }, asService);
      expect((await refusalWithoutTrace(service.database, missing)).reason).toBe('USER_NOT_FOUND');
      for (const userId of ['', 'ada', `${nobody}0`, "' or 1=1--"])
        expect((await refusalOf(call({ userId }, asService))).fields).toEqual(['user_id']);
    }
  });
});
