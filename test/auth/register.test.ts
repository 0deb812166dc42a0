import { randomUUID } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob } from '../support/people.ts';
import { refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('a registered user can sign in, and gets tokens at once only when the address needs no verification', async () => {
    const service = await start();
    const { user, tokens, session } = await service.clients(wire).auth.register(ada);
    expect(user).toMatchObject({ email: ada.email, name: 'Ada', emailVerified: false, isAnonymous: false });
    expect(user!.lastSignInTime).toBeUndefined();
    expect([tokens, session]).toEqual([undefined, undefined]);
    expect((await service.signIn(ada)).user.id).toBe(user!.id);

    const trusting = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const guest = await trusting.guest();
    const upgraded = await trusting.clients(wire).auth.register(bob, guest.as);
    expect(upgraded.user).toMatchObject({ id: guest.user.id, emailVerified: true });
    const response = await trusting.clients(wire).auth.register(ada);
    const me = await trusting.clients(wire).auth.getMe({}, bearer(response.tokens!));
    expect(me.user).toMatchObject({ id: response.user!.id, emailVerified: true });
    expect(response.session!.userId).toBe(response.user!.id);
  });

  test('while sign-up is off registration is refused, but guests are created and users sign in', async () => {
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

  test('a guest who registers an address that is taken stays a guest', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    const guest = await service.guest();
    const refusal = await refusalWithoutTrace(service.database, () => auth.register(ada, guest.as));
    expect(refusal.reason).toBe('EMAIL_ALREADY_REGISTERED');
    expect((await auth.getMe({}, guest.as)).user!.isAnonymous).toBe(true);
  });

  test.each([
    ['would be signed in at once', { AUTO_CONFIRM_EMAIL: 'on' }],
    ['would be sent a link', {}],
  ])('a user who %s and whose address is taken leaves no trace', async (_, env) => {
    const service = await start({ env });
    await service.welcome();
    const counters = 'select key, hits from durable_rate_limits order by key';
    const counted = await service.database.query(counters);
    const { auth } = service.clients(wire);
    const refusal = await refusalWithoutTrace(service.database, () => auth.register({ ...bob, email: ada.email }));
    expect(refusal.reason).toBe('EMAIL_ALREADY_REGISTERED');
    expect(await service.database.query(counters), 'the mail is not counted').toEqual(counted);
    const events = await service.database.query(`select result from audit_events where action = 'auth.register'`);
    expect(events, 'nobody has registered').toEqual([]);
  });

  test('the response shows the account as GetAccount and GetMe do, with and without a request id', async () => {
    const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const { auth, accounts } = service.clients(wire);
    for (const request of [ada, { ...bob, requestId: randomUUID() }]) {
      const { tokens, account, user } = await auth.register(request);
      const as = bearer(tokens!);
      expect(account!.account!.ownerId).toBe(user!.id);
      const shown = await accounts.getAccount({ accountId: account!.account!.id }, as);
      expect(shown.account).toEqual(account!.account);
      const me = await auth.getMe({}, as);
      expect(me.account).toEqual(account);
    }
  });

  test('registering with a revoked, malformed or service credential creates no user', async () => {
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
});
