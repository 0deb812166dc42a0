import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';
import { newRequestId } from './identified-calls.ts';

const env = { AUTO_CONFIRM_EMAIL: 'on' };

describe.each(wires)('over %s', (wire) => {
  test('a repeat renews the first session, and supersedes the tokens of the lost response', async () => {
    const service = await start({ env, replicas: 2 });
    const { auth, sessions } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    const lost = await auth.register(request);
    await service.clients(wire, 1).auth.register(request);
    const last = await auth.register(request);
    expect(last.user).toEqual(lost.user);
    expect(last.account).toEqual(lost.account);
    expect(last.session!.id).toBe(lost.session!.id);
    expect((await auth.getMe({}, bearer(last.tokens!))).user!.id).toBe(lost.user!.id);
    expect((await refusalOf(auth.getMe({}, bearer(lost.tokens!)))).reason).toBe('TOKEN_SUPERSEDED');
    const { refreshToken } = lost.tokens!;
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('REFRESH_TOKEN_SUPERSEDED');
    await sessions.refresh({ refreshToken: last.tokens!.refreshToken });
    const { sessions: listed } = await sessions.listSessions({}, bearer(last.tokens!));
    expect(listed).toHaveLength(1);
    const events = await service.database.query(`select 1 from audit_events where action = 'auth.register'`);
    expect(events).toHaveLength(1);
  });

  test('once the refresh token was used, or the session was revoked, a repeat returns the user without tokens', async () => {
    const service = await start({ env });
    const { auth, sessions } = service.clients(wire);
    const [used, ended] = [ada, bob].map((person) => ({ ...person, requestId: newRequestId() }));
    const first = await auth.register(used!);
    const { tokens } = await sessions.refresh({ refreshToken: first.tokens!.refreshToken });
    const { user, account, ...rest } = await auth.register(used!);
    expect([user, account]).toEqual([first.user, first.account]);
    expect([rest.tokens, rest.session]).toEqual([undefined, undefined]);
    await auth.getMe({}, bearer(tokens!));
    const second = await auth.register(ended!);
    await sessions.signOut({ refreshToken: second.tokens!.refreshToken });
    const again = await auth.register(ended!);
    expect([again.user, again.tokens]).toEqual([second.user, undefined]);
  });

  test('a banned user gets no tokens by a repeat', async () => {
    const service = await start({ env });
    const { auth, admin } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    const { user } = await auth.register(request);
    await admin.banUser({ userId: user!.id }, asService);
    await admin.unbanUser({ userId: user!.id }, asService);
    expect((await auth.register(request)).tokens).toBeUndefined();
    await admin.banUser({ userId: user!.id }, asService);
    expect((await auth.register(request)).tokens).toBeUndefined();
  });

  test('a repeat never renews a session of two factors', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    const { session } = await auth.register(request);
    await service.database.query('update sessions set aal = 2 where id = $1', [session!.id]);
    expect((await auth.register(request)).tokens).toBeUndefined();
  });

  test('another password or name is another request, and an earlier password stays one after it was changed', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    const { tokens } = await auth.register(request);
    const reused = { code: Code.FailedPrecondition, reason: 'REQUEST_ID_REUSED' };
    for (const changed of [{ password: bob.password }, { name: 'Eve' }, { email: bob.email }]) {
      const call = () => auth.register({ ...request, ...changed });
      expect(await refusalWithoutTrace(service.database, call)).toMatchObject(reused);
    }
    await auth.changePassword({ currentPassword: ada.password, newPassword: 'another phrase' }, bearer(tokens!));
    expect(await refusalOf(auth.register(request))).toMatchObject(reused);
  });

  test('guesses at the password by repeats count like those of SignIn', async () => {
    const service = await start({ env: { ...env, LIMITS: '*=off,AuthService.SignIn:account=3' } });
    const { auth } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    await auth.register(request);
    for (let i = 0; i < 3; i++) {
      const guess = auth.register({ ...request, password: `a wrong guess ${i}` });
      expect((await refusalOf(guess)).reason).toBe('REQUEST_ID_REUSED');
    }
    expect((await refusalOf(auth.register(request))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  });

  test('without confirmation a repeat returns the user again and sends no second link', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    const first = await auth.register(request);
    expect(first.tokens).toBeUndefined();
    expect(await auth.register(request)).toEqual(first);
    expect(await service.database.query('select 1 from mail_outbox')).toHaveLength(1);
  });

  test('a guest whose response was lost repeats with the token that the registration has superseded', async () => {
    const service = await start({ env });
    const { auth, sessions } = service.clients(wire);
    const guest = await service.guest();
    const { tokens: older } = await sessions.refresh({ refreshToken: guest.tokens.refreshToken });
    const request = { ...ada, requestId: newRequestId() };
    await auth.register(request, bearer(older!));
    const again = await auth.register(request, bearer(older!));
    expect(again).toMatchObject({ user: { id: guest.user.id, isAnonymous: false }, session: { id: guest.session.id } });
    await auth.getMe({}, bearer(again.tokens!));
    await sessions.refresh({ refreshToken: again.tokens!.refreshToken });
    expect((await auth.register(request, bearer(older!))).tokens).toBeUndefined();
  });

  test('the token of a guest without a registration is refused as before', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    const call = auth.register(request, bearer({ accessToken: 'a.b.c' }));
    expect((await refusalOf(call)).reason).toBe('TOKEN_INVALID');
  });

  test('with HIDE_REGISTRATION a repeat returns nothing and sends nothing, for a free and a taken address', async () => {
    const service = await start({ env: { HIDE_REGISTRATION: 'on' } });
    const { auth } = service.clients(wire);
    await service.clients('json').admin.createUser(bob, asService);
    service.pass(120);
    for (const person of [ada, bob]) {
      const request = { ...person, requestId: newRequestId() };
      await auth.register(request);
      const mails = await service.database.query('select 1 from mail_outbox');
      const repeated = await auth.register(request);
      const { user, tokens, session, account } = repeated;
      expect([user, tokens, session, account]).toEqual(Array(4).fill(undefined));
      await auth.register({ ...request, password: 'quite another phrase' });
      expect(await service.database.query('select 1 from mail_outbox')).toHaveLength(mails.length);
      const other = auth.register({ ...request, name: 'Eve' });
      expect((await refusalOf(other)).reason).toBe('REQUEST_ID_REUSED');
    }
    const rows = await service.database.query('select distinct made from request_ids');
    expect(rows, 'nothing shows which address was free').toEqual([{ made: {} }]);
  });

  test('a user who was deleted is not registered again', async () => {
    const service = await start({ env });
    const { auth, admin } = service.clients(wire);
    const request = { ...ada, requestId: newRequestId() };
    const { user } = await auth.register(request);
    await admin.deleteUser({ userId: user!.id }, asService);
    expect((await refusalOf(auth.register(request))).reason).toBe('USER_NOT_FOUND');
  });
});
