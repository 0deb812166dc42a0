// @serializable
import { describe, expect, test } from 'vitest';
import { CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { ada } from '../support/people.ts';
import { Pause } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

/** Ada, signed in twice. */
async function twice(service: TestService) {
  return { me: await service.welcome(), other: await service.signIn() };
}

test.each([
  ['SignOut GLOBAL', SignOutScope.GLOBAL],
  ['SignOut OTHERS', SignOutScope.OTHERS],
])('%s ends a session that is being opened', async (_, scope) => {
  const pause = new Pause('SignIn', 'commit');
  const service = await start({ replicas: 2, inner: [pause.interceptor()] });
  const { as } = await service.welcome();
  const written = pause.next();
  const signingIn = service.clients('grpc', 1).auth.signIn(ada);
  await written;
  const ending = service.clients('grpc').sessions.signOut({ scope }, as);
  await service.database.blocked(1);
  pause.resume();
  await ending;
  const { refreshToken } = (await signingIn).tokens!;
  expect((await refusalOf(service.clients('json').sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
});

test('SignOut with a refresh token waits for the lock of the user, whatever the access token says', async () => {
  const service = await start();
  const { me, other } = await twice(service);
  const release = await service.database.hold('select 1 from users where id = $1 for no key update', [me.user.id]);
  const { sessions } = service.clients('grpc');
  const leaving = sessions.signOut({ refreshToken: me.tokens.refreshToken }, other.as);
  await service.database.blocked(1);
  await release();
  await leaving;
  expect((await refusalOf(sessions.refresh({ refreshToken: me.tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
});

describe.each(wires)('over %s a reused token', (wire) => {
  const { KEEP, ROTATE } = CurrentSession;
  const reuses = `select count(*)::int as count from audit_events where action = 'auth.refresh_reuse'`;

  test.each([
    ['the secret of its session is replaced', ROTATE, true, 'REFRESH_TOKEN_SUPERSEDED'],
    ['its session is revoked', KEEP, false, 'SESSION_REVOKED'],
  ] as const)('is recorded and judged again when %s meanwhile', async (_, currentSession, isOwn, reason) => {
    const pause = new Pause('ChangePassword', 'commit');
    const service = await start({ replicas: 2, inner: [pause.interceptor()] });
    const { me, other } = await twice(service);
    const { sessions } = service.clients(wire, 1);
    const { refreshToken } = (isOwn ? me : other).tokens;
    await sessions.refresh({ refreshToken: (await sessions.refresh({ refreshToken })).tokens!.refreshToken });
    service.pass(60);
    const written = pause.next();
    const change = { currentPassword: ada.password, newPassword: 'another long password', currentSession };
    const changing = service.clients(wire).auth.changePassword(change, me.as);
    await written;
    const refusal = refusalOf(sessions.refresh({ refreshToken }));
    await service.database.blocked(1);
    pause.resume();
    await changing;
    expect((await refusal).reason).toBe(reason);
    expect(await service.database.query(reuses)).toEqual([{ count: 1 }]);
  });

  test('waits for the lock of the user before it revokes the session', async () => {
    const service = await start();
    const { tokens, user } = await service.welcome();
    const { sessions } = service.clients(wire);
    const { refreshToken } = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    service.pass(60);
    const release = await service.database.hold('select 1 from users where id = $1 for no key update', [user.id]);
    const refusal = refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
    await service.database.blocked(1);
    await release();
    expect((await refusal).reason).toBe('REFRESH_TOKEN_ALREADY_USED');
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect(await service.database.query(reuses)).toEqual([{ count: 1 }]);
  });
});
