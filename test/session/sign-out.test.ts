// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { mintRefreshToken, readRefreshToken } from '../../src/session/refresh-token.ts';
import { asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const { LOCAL, GLOBAL, OTHERS } = SignOutScope;
const otherProjectId = '00000000-0000-7000-8000-000000000002';

/** Ada has sessions on three clients, Bob on one. */
async function crowdOf(service: TestService) {
  const here = await service.welcome();
  return { here, there: await service.signIn(), elsewhere: await service.signIn(), other: await service.welcome(bob) };
}

/** Which of the clients can still refresh. */
async function survivors(service: TestService, clients: Awaited<ReturnType<typeof crowdOf>>): Promise<string[]> {
  const { sessions } = service.clients('json');
  const alive: string[] = [];
  for (const [name, { tokens }] of Object.entries(clients)) {
    const refreshed = sessions.refresh({ refreshToken: tokens.refreshToken });
    await refreshed.then(
      () => alive.push(name),
      async () => expect((await refusalOf(refreshed)).reason).toBe('SESSION_REVOKED'),
    );
  }
  return alive;
}

async function moveToOtherProject({ database }: TestService, sessionId: string, projectId = otherProjectId) {
  await database.query(`insert into projects values ($1, 'other', now()) on conflict do nothing`, [otherProjectId]);
  await database.query('update sessions set project_id = $2 where id = $1', [sessionId, projectId]);
}

describe.each(wires)('over %s', (wire) => {
  test.each([
    ['all the user’s sessions when no scope is given', undefined, ['other']],
    ['all the user’s sessions', GLOBAL, ['other']],
    ['this session only', LOCAL, ['there', 'elsewhere', 'other']],
    ['all the user’s sessions but this one', OTHERS, ['here', 'other']],
  ])('signing out with an access token revokes %s', async (_, scope, alive) => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const clients = await crowdOf(service);
    expect(await sessions.signOut(scope === undefined ? {} : { scope }, clients.here.as)).toEqual({
      $typeName: 'gatehouse.v1.SignOutResponse',
    });
    expect(await survivors(service, clients)).toEqual(alive);
  });

  test('signing out the others revokes the sessions of command lines and devices too', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const clients = await crowdOf(service);
    await service.database.query(`update sessions set kind = 'cli' where id = $1`, [clients.there.session.id]);
    await service.database.query(`update sessions set kind = 'device' where id = $1`, [clients.elsewhere.session.id]);
    await sessions.signOut({ scope: OTHERS }, clients.here.as);
    expect(await survivors(service, clients)).toEqual(['here', 'other']);
  });

  test('after signing out, every replica refuses both tokens at once', async () => {
    const service = await start({ replicas: 2 });
    const { tokens, as } = await service.welcome();
    for (const replica of [0, 1]) {
      const { auth, sessions } = service.clients(wire, replica);
      await auth.getMe({}, as);
      expect((await sessions.introspect({ token: tokens.accessToken }, asService)).active).toBe(true);
    }
    await service.clients(wire, 0).sessions.signOut({ scope: LOCAL }, as);
    for (const replica of [0, 1]) {
      const { auth, sessions } = service.clients(wire, replica);
      expect(await refusalOf(auth.getMe({}, as))).toMatchObject({
        code: Code.Unauthenticated,
        reason: 'SESSION_REVOKED',
      });
      expect((await refusalOf(sessions.listSessions({}, as))).reason).toBe('SESSION_REVOKED');
      expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
      expect((await sessions.introspect({ token: tokens.accessToken }, asService)).active).toBe(false);
    }
  });

  test('signing out again with the same access token is SESSION_REVOKED', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { as } = await service.welcome();
    await sessions.signOut({}, as);
    for (const scope of [undefined, LOCAL, GLOBAL, OTHERS])
      expect(
        await refusalWithoutTrace(service.database, () => sessions.signOut(scope ? { scope } : {}, as)),
      ).toMatchObject({
        code: Code.Unauthenticated,
        reason: 'SESSION_REVOKED',
      });
  });

  test('a refresh token signs its session out without an access token, any number of times', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const clients = await crowdOf(service);
    const { refreshToken } = clients.here.tokens;
    const answer = await sessions.signOut({ refreshToken });
    expect(await sessions.signOut({ refreshToken })).toEqual(answer);
    expect(await sessions.signOut({ refreshToken, scope: LOCAL })).toEqual(answer);
    expect(await survivors(service, clients)).toEqual(['there', 'elsewhere', 'other']);
    const events = await service.database.query(`select 1 from audit_events where action = 'auth.logout'`);
    expect(events, 'only the first ended anything').toHaveLength(1);
  });

  test('a refresh token that was used before signs its session out too', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const { tokens: newest } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    service.pass(60);
    await sessions.signOut({ refreshToken: tokens.refreshToken });
    const refusal = await refusalOf(sessions.refresh({ refreshToken: newest!.refreshToken }));
    expect(refusal.reason).toBe('SESSION_REVOKED');
  });

  test('an invalid refresh token gets the usual response whatever the bearer token, and signs nobody out', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const clients = await crowdOf(service);
    const { here, there } = clients;
    const keys = new MasterKeys(service.config.masterKeys);
    const token = readRefreshToken(keys, defaultProjectId, here.tokens.refreshToken)!;
    const before = await service.database.checksums();
    const strange = [
      'garbage',
      here.tokens.accessToken,
      here.tokens.refreshToken.slice(0, -1),
      ` ${here.tokens.refreshToken}`,
      'x'.repeat(8192),
      mintRefreshToken(keys, otherProjectId, token),
      mintRefreshToken(keys, defaultProjectId, { ...token, secret: Buffer.alloc(16) }),
      mintRefreshToken(keys, defaultProjectId, { ...token, sessionId: '01900000-0000-7000-8000-000000000000' }),
    ];
    for (const refreshToken of strange)
      for (const options of [{}, there.as, asService, bearer({ accessToken: 'garbage' })])
        await sessions.signOut({ refreshToken }, options);
    expect(await service.database.checksums()).toEqual(before);
    await moveToOtherProject(service, there.session.id);
    await sessions.signOut({ refreshToken: there.tokens.refreshToken });
    await moveToOtherProject(service, there.session.id, defaultProjectId);
    await sessions.signOut({ refreshToken: here.tokens.refreshToken }, there.as);
    expect(await survivors(service, clients)).toEqual(['there', 'elsewhere', 'other']);
  });

  test('a refresh token revokes only its own session, and an unknown scope revokes nothing', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens, as } = await service.welcome();
    for (const scope of [GLOBAL, OTHERS]) {
      const tooMuch = () => sessions.signOut({ refreshToken: tokens.refreshToken, scope });
      expect(await refusalWithoutTrace(service.database, tooMuch)).toMatchObject({ code: Code.InvalidArgument });
    }
    const unknown = () => sessions.signOut({ scope: 7 as SignOutScope }, as);
    expect(await refusalWithoutTrace(service.database, unknown)).toMatchObject({ code: Code.InvalidArgument });
    await sessions.refresh({ refreshToken: tokens.refreshToken });
  });

  test('without a refresh token SignOut requires the access token of a user', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    for (const [options, code, reason] of [
      [{}, Code.Unauthenticated, 'AUTHENTICATION_REQUIRED'],
      [bearer({ accessToken: 'garbage' }), Code.Unauthenticated, 'TOKEN_INVALID'],
      [asService, Code.PermissionDenied, 'CALLER_NOT_ALLOWED'],
    ] as const)
      expect(await refusalWithoutTrace(service.database, () => sessions.signOut({}, options))).toMatchObject({
        code,
        reason,
      });
  });

  test('a guest can sign out, and cannot come back', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { as, tokens } = await service.guest();
    await sessions.signOut({}, as);
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
  });

  test('the first revocation of a session keeps its time and reason', async () => {
    const service = await start();
    const { sessions, admin } = service.clients(wire);
    const { user, tokens } = await service.welcome();
    await sessions.signOut({ refreshToken: tokens.refreshToken });
    const [before] = await service.database.query('select revoked_at, revoke_reason from sessions');
    service.pass(5);
    await admin.banUser({ userId: user.id }, asService);
    await sessions.signOut({ refreshToken: tokens.refreshToken });
    const [after] = await service.database.query('select revoked_at, revoke_reason from sessions');
    expect(after).toEqual(before);
    expect(after).toMatchObject({ revoke_reason: 'sign_out' });
  });
});
