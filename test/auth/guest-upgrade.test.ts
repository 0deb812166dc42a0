// @serializable
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob, grace } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const confirmations = ['on', 'off'] as const;

describe.each(wires)('over %s', (wire) => {
  test.each(confirmations)(
    'with AUTO_CONFIRM_EMAIL %s, a guest who registers keeps the id and the session, and gets new tokens for it',
    async (confirmed) => {
      const service = await start({ env: { AUTO_CONFIRM_EMAIL: confirmed } });
      const { auth, sessions } = service.clients(wire);
      const guest = await service.guest();
      const registered = await auth.register(ada, guest.as);
      const { user, tokens, session, account } = registered;
      expect(user).toMatchObject({ id: guest.user.id, email: ada.email, isAnonymous: false });
      expect(account).toBeDefined();
      expect(session).toMatchObject({ id: guest.session.id, current: true, amr: [{ method: 'password' }] });
      const { sessions: own } = await sessions.listSessions({}, bearer(tokens!));
      expect(own.map(({ id }) => id)).toEqual([guest.session.id]);
      const refreshed = await sessions.refresh({ refreshToken: tokens!.refreshToken });
      expect(decodeJwt(refreshed.tokens!.accessToken)).toMatchObject({
        sub: user!.id,
        session_id: guest.session.id,
        is_anonymous: false,
        email: ada.email,
      });
      await auth.getMe({}, bearer(refreshed.tokens!));
      expect((await service.signIn(ada)).user.id).toBe(guest.user.id);
    },
  );

  test.each(confirmations)(
    'with AUTO_CONFIRM_EMAIL %s, no token from before the registration is a token of the registered user',
    async (confirmed) => {
      const service = await start({ env: { AUTO_CONFIRM_EMAIL: confirmed }, replicas: 2 });
      const { auth, sessions } = service.clients(wire);
      const guest = await service.guest();
      const operator = await service.operator(grace);
      const acting = await service.clients(wire).admin.impersonateUser({ userId: guest.user.id }, operator.as);
      const { tokens: second } = await sessions.refresh({ refreshToken: guest.tokens.refreshToken });
      await auth.register(ada, bearer(second!));
      for (const replica of [0, 1]) {
        const { auth, sessions } = service.clients(wire, replica);
        for (const { accessToken, refreshToken } of [guest.tokens, second!]) {
          const refusal = await refusalOf(auth.getMe({}, bearer({ accessToken })));
          expect(refusal).toMatchObject({ code: Code.Unauthenticated, reason: 'TOKEN_SUPERSEDED' });
          const named = { sessionId: guest.session.id };
          expect((await refusalOf(sessions.getSession(named, bearer({ accessToken })))).reason).toBe(
            'TOKEN_SUPERSEDED',
          );
          expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('REFRESH_TOKEN_SUPERSEDED');
          expect(await sessions.introspect({ token: accessToken }, asService)).toMatchObject({ active: false });
        }
        expect((await refusalOf(auth.getMe({}, bearer(acting.tokens!)))).reason).toBe('SESSION_REVOKED');
        const { refreshToken } = acting.tokens!;
        expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
      }
    },
  );

  test('a guest whose address has to be verified first gets no tokens, and all their sessions are revoked', async () => {
    const service = await start({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
    const { auth, sessions } = service.clients(wire);
    const guest = await service.guest();
    const { tokens, session } = await auth.register(ada, guest.as);
    expect([tokens, session]).toEqual([undefined, undefined]);
    expect((await refusalOf(auth.getMe({}, guest.as))).reason).toBe('SESSION_REVOKED');
    const { refreshToken } = guest.tokens;
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
  });

  test('a guest who signs in as another user gets a session of that user, and stays a guest in their own', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome(bob);
    const guest = await service.guest();
    const { user, tokens, session } = await auth.signIn(bob, guest.as);
    expect(session!.id).not.toBe(guest.session.id);
    expect((await auth.getMe({}, bearer(tokens!))).user!.id).toBe(user!.id);
    expect((await auth.getMe({}, guest.as)).user).toMatchObject({ id: guest.user.id, isAnonymous: true });
  });

  test('a remembered state is not the state of a superseded token', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const guest = await service.guest();
    const { tokens } = await auth.register(ada, guest.as);
    const maxStaleness = durationFromMs(5000);
    const isActive = async (token: string) => (await sessions.introspect({ token, maxStaleness }, asService)).active;
    for (const _ of [1, 2]) {
      expect(await isActive(tokens!.accessToken)).toBe(true);
      expect(await isActive(guest.tokens.accessToken)).toBe(false);
    }
  });
});

test('of a registration and the refreshes beside it, only the registration has tokens that are good afterwards', async () => {
  const barrier = new Barrier('Refresh');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const guest = await service.guest();
  const { refreshToken } = guest.tokens;
  barrier.expect(crowd);
  const refreshing = together((n) => service.clients('grpc', n).sessions.refresh({ refreshToken }));
  const { tokens } = await service.clients('json', 1).auth.register(ada, guest.as);
  const { answers } = await refreshing;
  const { auth, sessions } = service.clients('grpc');
  for (const { tokens } of answers) {
    expect((await refusalOf(auth.getMe({}, bearer(tokens!)))).reason).toBe('TOKEN_SUPERSEDED');
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens!.refreshToken }))).reason).toBe(
      'REFRESH_TOKEN_SUPERSEDED',
    );
  }
  await auth.getMe({}, bearer(tokens!));
  await sessions.refresh({ refreshToken: tokens!.refreshToken });
});

test('of twenty parallel registrations of one guest one succeeds, and its tokens are good', async () => {
  const barrier = new Barrier('Register');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const guest = await service.guest();
  barrier.expect(crowd);
  const { answers, errors } = await together((n) => {
    const person = { ...ada, email: `ada${n}@example.org` };
    return service.clients('grpc', n).auth.register(person, guest.as);
  });
  expect([answers.length, errors.length]).toEqual([1, crowd - 1]);
  for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe('TOKEN_SUPERSEDED');
  const { tokens, user } = answers[0]!;
  expect((await service.clients('grpc').auth.getMe({}, bearer(tokens!))).user!.email).toBe(user!.email);
});
