// @serializable
import { describe, expect, test } from 'vitest';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const everybody = { whose: { case: 'everybody', value: true } } as const;

/** The clock of replica 1 is `by` seconds ahead of that of replica 0. */
function startSkewed(by: number) {
  return start({ replicas: 2, clockSkew: (replica) => replica * by });
}

type Tokens = Awaited<ReturnType<TestService['guest']>>['tokens'];

/** For each replica whether the session of the tokens is live, for calls, refreshes and introspections alike. */
async function livesOn(service: TestService, { accessToken: token, refreshToken }: Tokens): Promise<boolean[]> {
  const lives: boolean[] = [];
  for (const replica of [0, 1]) {
    const { auth, sessions } = service.clients('grpc', replica);
    const { active } = await sessions.introspect({ token }, asService);
    lives.push(active);
    if (active) {
      await auth.getMe({}, bearer({ accessToken: token }));
      await sessions.refresh({ refreshToken });
      continue;
    }
    const calls = [() => auth.getMe({}, bearer({ accessToken: token })), () => sessions.refresh({ refreshToken })];
    for (const call of calls) expect((await refusalOf(call())).reason).toBe('SESSION_REVOKED');
  }
  return lives;
}

describe.each(wires)('over %s', (wire) => {
  test('revoking everybody revokes sessions of a replica whose clock is 800 ms ahead', async () => {
    const service = await startSkewed(0.8);
    const ahead = service.clients(wire, 1);
    const opened = await Promise.all(Array.from({ length: 5 }, () => ahead.auth.signUpAnonymous({})));
    await service.clients(wire, 0).admin.revokeUserSessions(everybody, asService);
    for (const { tokens } of opened) expect(await livesOn(service, tokens!)).toEqual([false, false]);
  });

  test('a session opened afterwards lives, also on a replica whose clock is 800 ms behind', async () => {
    const service = await startSkewed(-0.8);
    const before = await service.welcome();
    const { admin } = service.clients(wire, 0);
    await admin.revokeUserSessions(everybody, asService);
    await admin.revokeUserSessions(everybody, asService);
    const { user, tokens } = await service.clients(wire, 1).auth.signIn({
      email: before.user.email,
      password: 'a difference engine',
    });
    expect(user!.id).toBe(before.user.id);
    expect(await livesOn(service, tokens!)).toEqual([true, true]);
    expect(await livesOn(service, before.tokens)).toEqual([false, false]);
  });
});

test.each(wires)('over %s a session that was revoked with everybody is not found', async (wire) => {
  const service = await start();
  const before = await service.welcome(ada);
  const other = await service.signIn(ada);
  const { admin, sessions, auth } = service.clients(wire);
  await admin.revokeUserSessions(everybody, asService);
  const { as } = await service.signIn(ada);
  const sessionId = before.session.id;
  expect((await refusalOf(sessions.revokeSession({ sessionId }, as))).reason).toBe('SESSION_NOT_FOUND');
  expect((await refusalOf(sessions.getSession({ sessionId }, as))).reason).toBe('SESSION_NOT_FOUND');
  const userId = before.user.id;
  const revocation = admin.revokeUserSession({ userId, sessionId: other.session.id }, asService);
  expect((await refusalOf(revocation)).reason).toBe('SESSION_NOT_FOUND');
  expect((await refusalOf(auth.getMe({}, before.as))).reason).toBe('SESSION_REVOKED');
});

describe('a session that is opened while everybody is revoked', () => {
  /** Calls of replica 1 pass a proxy that can hold them. */
  async function startHeld() {
    const proxy = await startProxy();
    const service = await start({ replicas: 2, databaseUrl: proxy.url });
    await service.welcome();
    const { admin } = service.clients('grpc', 0);
    return { service, proxy, revoke: () => admin.revokeUserSessions(everybody, asService) };
  }

  test('lives when it is inserted later, although its sign-in began before', async () => {
    const { service, proxy, revoke } = await startHeld();
    const inserting = proxy.hold('before', 'user_sign_in');
    const opened = service.signIn();
    const { letGo } = await inserting;
    await revoke();
    letGo();
    expect(await livesOn(service, (await opened).tokens)).toEqual([true, true]);
  });

  test('is revoked when it was inserted before, although its sign-in returns later', async () => {
    const { service, proxy, revoke } = await startHeld();
    const inserted = proxy.hold('after', 'user_sign_in');
    const opened = service.signIn();
    const { letGo } = await inserted;
    await revoke();
    letGo();
    expect(await livesOn(service, (await opened).tokens)).toEqual([false, false]);
  });

  test('is revoked when it is committed later', async () => {
    const { service, proxy, revoke } = await startHeld();
    const committing = proxy.hold('before', /^commit/i);
    const opened = service.guest();
    const { letGo } = await committing;
    await revoke();
    letGo();
    expect(await livesOn(service, (await opened).tokens)).toEqual([false, false]);
  });
});
