// @serializable
import { toJsonString } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { describe, expect, test } from 'vitest';
import { GetMeResponseSchema } from '../../gen/gatehouse/v1/auth_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SessionKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const day = 86_400;

describe.each(wires)('over %s', (wire) => {
  test('a sign-in gives both tokens, says what they are, and moves the time of the last one', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const first = await service.welcome();
    service.pass(60);
    const { user, tokens, session } = await auth.signIn(ada);
    expect(user).toMatchObject({ id: first.user.id, email: ada.email, name: 'Ada', isAnonymous: false });
    expect(tokens).toMatchObject({ tokenType: 'bearer', expiresIn: { seconds: 3600n }, mustChangePassword: false });
    expect(tokens!.refreshToken).toMatch(/^ghr_/);
    expect(session).toMatchObject({ userId: user!.id, kind: SessionKind.WEB, aal: AssuranceLevel.AAL1, current: true });
    const moved = timestampDate(user!.lastSignInTime!).getTime() - timestampDate(first.user.lastSignInTime!).getTime();
    expect(moved).toBeGreaterThanOrEqual(60_000);
    expect((await auth.getMe({}, bearer(tokens!))).user!.lastSignInTime).toEqual(user!.lastSignInTime);
    await sessions.refresh({ refreshToken: tokens!.refreshToken });
  });

  test('where registrations are hidden, an unknown address, a wrong password and no password are refused alike', async () => {
    const service = await start({ env: { HIDE_REGISTRATION: 'on' } });
    const { auth } = service.clients(wire);
    await service.welcome({ ...ada, emailVerified: true });
    await service.clients('json').admin.createUser({ email: bob.email }, asService);
    const unproved = { email: 'eve@example.org', password: ada.password };
    await service.clients('json').admin.createUser(unproved, asService);
    const tries = [
      { email: 'nobody@example.org', password: ada.password },
      { email: ada.email, password: 'a difference engim' },
      { email: bob.email, password: bob.password },
      unproved,
    ];
    for (const credentials of tries)
      expect(await refusalWithoutTrace(service.database, () => auth.signIn(credentials))).toEqual({
        code: Code.Unauthenticated,
        reason: 'INVALID_CREDENTIALS',
        message: 'Incorrect email or password',
        metadata: {},
        fields: [],
        retryAfter: undefined,
      });
  });

  test('an address is the same in any letter case and with white space around it', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user } = await service.welcome();
    const again = await auth.signIn({ email: '  ADA@Example.ORG ', password: ada.password });
    expect(again.user!.id).toBe(user.id);
    const taken = () => auth.register({ ...bob, email: 'Ada@EXAMPLE.org' });
    expect(await refusalWithoutTrace(service.database, taken)).toMatchObject({
      code: Code.AlreadyExists,
      reason: 'EMAIL_ALREADY_REGISTERED',
      message: 'Email already registered',
    });
  });

  test('registering makes a user who can sign in, and gives tokens only when the address needs no proof', async () => {
    const unproved = await start();
    const { user, tokens, session } = await unproved.clients(wire).auth.register(ada);
    expect(user).toMatchObject({ email: ada.email, name: 'Ada', emailVerified: false, isAnonymous: false });
    expect(user!.lastSignInTime).toBeUndefined();
    expect([tokens, session]).toEqual([undefined, undefined]);
    expect((await unproved.signIn(ada)).user.id).toBe(user!.id);

    const trusting = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const guest = await trusting.guest();
    const upgraded = await trusting.clients(wire).auth.register(bob, guest.as);
    expect(upgraded.user).toMatchObject({ id: guest.user.id, emailVerified: true });
    const answer = await trusting.clients(wire).auth.register(ada);
    const me = await trusting.clients(wire).auth.getMe({}, bearer(answer.tokens!));
    expect(me.user).toMatchObject({ id: answer.user!.id, emailVerified: true });
    expect(answer.session!.userId).toBe(answer.user!.id);
  });

  test('nobody registers while that is switched off, but guests come and users sign in', async () => {
    const service = await start({ env: { SIGN_UP: 'off' } });
    const { auth } = service.clients(wire);
    const refusal = await refusalWithoutTrace(service.database, () => auth.register(bob));
    expect(refusal).toMatchObject({ code: Code.PermissionDenied, reason: 'SIGN_UP_DISABLED' });
    await service.welcome();
    const { user, tokens, session } = await auth.signUpAnonymous({});
    expect(user).toMatchObject({ isAnonymous: true, email: '' });
    expect((await auth.getMe({}, bearer(tokens!))).user!.id).toBe(user!.id);
    expect(session!.userId).toBe(user!.id);
    expect(tokens!.refreshToken).toMatch(/^ghr_/);
  });

  test('a guest who signs in to an existing account is that user, and the guest stays as it was', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user } = await service.welcome();
    const guest = await service.guest();
    const { user: signedIn } = await auth.signIn(ada, guest.as);
    expect(signedIn!.id).toBe(user.id);
    expect((await auth.getMe({}, guest.as)).user).toEqual(guest.user);
    await service.clients(wire).sessions.refresh({ refreshToken: guest.tokens.refreshToken });
  });

  test('a guest who registers keeps id and sessions, and what was issued before still works', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const guest = await service.guest();
    const { user } = await auth.register(ada, guest.as);
    expect(user).toMatchObject({ id: guest.user.id, email: ada.email, isAnonymous: false });
    expect((await auth.getMe({}, guest.as)).user).toMatchObject({ id: guest.user.id, isAnonymous: false });
    const { tokens } = await sessions.refresh({ refreshToken: guest.tokens.refreshToken });
    expect(decodeJwt(tokens!.accessToken)).toMatchObject({ sub: user!.id, is_anonymous: false, email: ada.email });
    expect((await service.signIn(ada)).user.id).toBe(guest.user.id);
  });

  test('a guest who asks for an address that is taken stays a guest', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    const guest = await service.guest();
    const refusal = await refusalWithoutTrace(service.database, () => auth.register(ada, guest.as));
    expect(refusal.reason).toBe('EMAIL_ALREADY_REGISTERED');
    expect((await auth.getMe({}, guest.as)).user!.isAnonymous).toBe(true);
  });

  test('registering with a bearer that is not good makes nobody', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const guest = await service.guest();
    await sessions.signOut({}, guest.as);
    for (const [options, reason] of [
      [guest.as, 'SESSION_REVOKED'],
      [bearer({ accessToken: 'not.a.token' }), 'TOKEN_INVALID'],
      [asService, 'CALLER_NOT_ALLOWED'],
    ] as const)
      expect(await refusalWithoutTrace(service.database, () => auth.register(ada, options))).toMatchObject({ reason });
  });

  test('GetMe tells the caller who they are, and nothing that is nobody else’s business', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user, as } = await service.welcome();
    const answer = await auth.getMe({}, as);
    expect(answer.user).toEqual(user);
    expect(toJsonString(GetMeResponseSchema, answer)).not.toMatch(/argon2|hash/i);
    expect(await refusalOf(auth.getMe({}))).toMatchObject({
      code: Code.Unauthenticated,
      reason: 'AUTHENTICATION_REQUIRED',
    });
  });

  test('an access token names its session, the level and the method, and lasts an hour', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens, as, user, session } = await service.welcome();
    const claims = decodeJwt(tokens.accessToken);
    expect(decodeProtectedHeader(tokens.accessToken)).toMatchObject({ alg: 'ES256', typ: 'JWT' });
    expect(claims).toMatchObject({
      iss: 'http://gatehouse.test/auth/v1',
      aud: 'authenticated',
      sub: user.id,
      session_id: session.id,
      aal: 'aal1',
      amr: [{ method: 'password', timestamp: claims.iat }],
    });
    expect(claims.exp! - claims.iat!).toBe(3600);
    expect(tokens.expireTime!.seconds).toBe(BigInt(claims.exp!));
    const listed = await sessions.listSessions({}, as);
    expect(listed.sessions.map((each) => each.id)).toEqual([claims.session_id]);
  });

  test('an access token lasts as long as configured', async () => {
    const service = await start({ env: { ACCESS_TOKEN_LIFETIME: '120' } });
    const { auth, sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const { tokens: refreshed } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    for (const each of [tokens, refreshed!]) {
      const { exp, iat } = decodeJwt(each.accessToken);
      expect([exp! - iat!, each.expiresIn!.seconds]).toEqual([120, 120n]);
    }
    service.pass(119);
    await auth.getMe({}, bearer(refreshed!));
    service.pass(2);
    expect(await refusalOf(auth.getMe({}, bearer(refreshed!)))).toMatchObject({ reason: 'TOKEN_EXPIRED' });
  });

  test('an app’s session outlasts a browser’s', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    for (const [kind, idle, absolute] of [
      [SessionKind.UNSPECIFIED, 7, 30],
      [SessionKind.WEB, 7, 30],
      [SessionKind.NATIVE, 30, 90],
    ] as const) {
      const { session } = await auth.signIn({ ...ada, kind });
      const opened = Number(session!.createTime!.seconds);
      expect(session!.kind).toBe(kind || SessionKind.WEB);
      expect(Number(session!.idleExpireTime!.seconds) - opened).toBe(idle * day);
      expect(Number(session!.expireTime!.seconds) - opened).toBe(absolute * day);
    }
    for (const kind of [SessionKind.CLI, SessionKind.DEVICE, SessionKind.SERVICE, 99 as SessionKind]) {
      const refusal = await refusalOf(auth.signIn({ ...ada, kind }));
      expect(refusal).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['kind'] });
    }
  });
});

test.each(['abc', '0', '-5', '86401', '1.5'])('no replica starts with access tokens that last %s', (lifetime) => {
  expect(() => readConfig({ ...testEnv, ACCESS_TOKEN_LIFETIME: lifetime })).toThrow('ACCESS_TOKEN_LIFETIME');
});
