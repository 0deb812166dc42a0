import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SessionKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { siteLink } from '../support/site-methods.ts';
import { bearer, start, wires } from '../support/start.ts';

const day = 86_400;

describe.each(wires)('over %s', (wire) => {
  test('a sign-in returns both tokens and their session, and updates the time of the last sign-in', async () => {
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

  test('a user with neither a password nor an identity is refused as with a wrong password', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await admin.createUser({ email: bob.email, emailVerified: true }, asService);
    await admin.inviteUser({ email: 'eve@example.org', link: siteLink }, asService);
    const unknown = await refusalOf(auth.signIn({ ...ada, email: 'nobody@example.org' }));
    expect([unknown.code, unknown.reason]).toEqual([Code.Unauthenticated, 'INVALID_CREDENTIALS']);
    for (const email of [bob.email, 'eve@example.org'])
      expect(await refusalOf(auth.signIn({ email, password: bob.password })), email).toEqual(unknown);
    const events = await service.database.query(
      `select cause from audit_events where action = 'auth.login_failed' order by id`,
    );
    expect(events.map(({ cause }) => cause)).toEqual(['unknown_email', 'no_password', 'no_password']);
  });

  test('with hidden registration an unknown address, a wrong password, a user without password and an unverified address are refused alike', async () => {
    const service = await start({ env: { HIDE_REGISTRATION: 'on' } });
    const { auth } = service.clients(wire);
    await service.welcome({ ...ada, emailVerified: true });
    await service.clients('json').admin.createUser({ email: bob.email }, asService);
    const unverified = { email: 'eve@example.org', password: ada.password };
    await service.clients('json').admin.createUser(unverified, asService);
    const tries = [
      { email: 'nobody@example.org', password: ada.password },
      { email: ada.email, password: 'a difference engim' },
      { email: bob.email, password: bob.password },
      unverified,
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

  test('an address matches in any letter case and with white space around it', async () => {
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

  test('a guest who signs in as an existing user gets that user’s session, and the guest does not change', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user } = await service.welcome();
    const guest = await service.guest();
    const { user: signedIn } = await auth.signIn(ada, guest.as);
    expect(signedIn!.id).toBe(user.id);
    expect((await auth.getMe({}, guest.as)).user).toEqual({ ...guest.user, userMetadata: {} });
    await service.clients(wire).sessions.refresh({ refreshToken: guest.tokens.refreshToken });
  });

  test('a session of a native app outlasts that of a browser, and clients may not choose other kinds', async () => {
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

  test('an access token has the claims of its session, and lasts an hour', async () => {
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

  test('an access token lasts as long as ACCESS_TOKEN_LIFETIME says', async () => {
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
});

test.each(['abc', '0', '-5', '86401', '1.5'])('no replica starts with ACCESS_TOKEN_LIFETIME=%s', (lifetime) => {
  expect(() => readConfig({ ...testEnv, ACCESS_TOKEN_LIFETIME: lifetime })).toThrow('ACCESS_TOKEN_LIFETIME');
});

test.each(wires)(
  'over %s a sign-in that a ban has refused is USER_BANNED, also when the ban is lifted',
  async (wire) => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { auth, admin } = service.clients(wire);
    const { user } = await admin.createUser(ada, asService);
    const recording = proxy.hold('before', 'user_sign_in');
    const refusal = refusalOf(auth.signIn(ada));
    const recorded = await recording;
    await admin.banUser({ userId: user!.id }, asService);
    const judging = proxy.hold('before', 'users_lock');
    recorded.letGo();
    const judged = await judging;
    await service.database.query('update users set banned_until = null');
    judged.letGo();
    expect((await refusal).reason).toBe('USER_BANNED');
  },
);
