import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import type { StartOptions } from '../support/start.ts';
import { asUser, confirmed, shown, startSupabase, supabaseClient } from '../support/supabase.ts';

const { email, password } = ada;
const started = async (env = {}, options: StartOptions = {}) => {
  const supabase = await startSupabase({ env: { ...confirmed, ...env }, ...options });
  const auth = supabase.client();
  const { data } = await auth.signUp({ email, password });
  return { ...supabase, auth, user: data.user!, session: data.session! };
};

describe('signInWithPassword', () => {
  test('opens a session', async () => {
    const { client, user } = await started();
    const auth = client();
    const { data, error } = await auth.signInWithPassword({ email: email.toUpperCase(), password });
    expect(error).toBeNull();
    expect(data.user).toMatchObject({
      id: user.id,
      last_sign_in_at: expect.any(String),
      app_metadata: { provider: 'email' },
    });
    expect((await auth.getSession()).data.session!.access_token).toBe(data.session!.access_token);
  });

  test('answers alike for an unknown address, a wrong password and a user without one', async () => {
    const { client, service } = await started();
    await service.clients('json').admin.createUser({ email: bob.email }, asService);
    for (const person of [
      { email, password: 'wrong' },
      { email: 'x@example.org', password },
      { email: bob.email, password },
    ]) {
      const { error } = await client().signInWithPassword(person);
      expect(shown(error)).toEqual([400, 'invalid_credentials', 'Invalid login credentials']);
    }
  });

  test('of a banned user is refused after the right password only', async () => {
    const { client, service, user } = await started();
    await service.clients('json').admin.banUser({ userId: user.id }, asService);
    expect(shown((await client().signInWithPassword({ email, password })).error)).toEqual([
      400,
      'user_banned',
      'User is banned',
    ]);
    expect((await client().signInWithPassword({ email, password: 'wrong' })).error!.code).toBe('invalid_credentials');
  });

  test.each([
    [
      { email, phone: '+43660', password },
      400,
      'validation_failed',
      'Only an email address or phone number should be provided on login.',
    ],
    [{ password }, 400, 'validation_failed', 'missing email or phone'],
    [{ phone: '+43660', password }, 422, 'phone_provider_disabled', 'Phone logins are disabled'],
    [{ email }, 400, 'invalid_credentials', 'Invalid login credentials'],
  ])('with %o is refused', async (body, status, code, msg) => {
    const { request } = await startSupabase();
    const answer = await request('POST', '/token?grant_type=password', { body });
    expect([answer.status, answer.body]).toEqual([status, { code: status, error_code: code, msg }]);
  });

  test('is the only grant beside those that are listed', async () => {
    const { request } = await startSupabase();
    for (const grant of ['', '?grant_type=implicit']) {
      const { status, body } = await request('POST', `/token${grant}`, { body: {} });
      expect([status, body.msg]).toEqual([400, 'unsupported_grant_type']);
    }
    const { status, body } = await request('POST', '/token?grant_type=web3', { body: {} });
    expect([status, body.error_code]).toEqual([422, 'web3_provider_disabled']);
  });
});

describe('refreshSession', () => {
  test('replaces both tokens and keeps the session', async () => {
    const { auth, session } = await started();
    const { data, error } = await auth.refreshSession();
    expect(error).toBeNull();
    expect(data.session!.refresh_token).not.toBe(session.refresh_token);
    expect(data.session!.access_token).not.toBe(session.access_token);
    const [before, after] = [session, data.session!].map(({ access_token }) => decodeJwt(access_token));
    expect(after!.session_id).toBe(before!.session_id);
    expect(data.user!.email).toBe(email);
  });

  test('in two tabs at once signs neither out', async () => {
    const { service, session, client } = await started();
    const tabs = [client(), supabaseClient(service)];
    const both = await Promise.all(tabs.map((tab) => tab.refreshSession(session)));
    expect(both.map(({ error }) => error)).toEqual([null, null]);
    expect(new Set(both.map(({ data }) => data.session!.refresh_token)).size).toBe(1);
    for (const tab of tabs) expect((await tab.refreshSession()).error).toBeNull();
  });

  test('with a token that was used before the last revokes the session', async () => {
    const { client, service, session, request } = await started();
    const auth = client();
    const { data } = await auth.refreshSession(session);
    await auth.refreshSession(data.session!);
    service.pass(60);
    const { error } = await client().refreshSession(session);
    expect(shown(error)).toEqual([400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used']);
    const { refresh_token } = (await auth.getSession()).data.session!;
    const { status, body } = await request('POST', '/token?grant_type=refresh_token', { body: { refresh_token } });
    expect([status, body.error_code, body.msg]).toEqual([
      400,
      'session_not_found',
      'Invalid Refresh Token: No Valid Session Found',
    ]);
    expect((await auth.refreshSession()).error).toMatchObject({ name: 'AuthSessionMissingError' });
  });

  test.each([
    ['', 'validation_failed', 'Refresh token is not valid'],
    ['abcdefghijkl', 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found'],
    ['x'.repeat(9000), 'validation_failed', 'Refresh token is not valid'],
  ])('with the token %.12s is refused', async (refresh_token, code, msg) => {
    const { request } = await startSupabase();
    const { status, body } = await request('POST', '/token?grant_type=refresh_token', { body: { refresh_token } });
    expect([status, body.error_code, body.msg]).toEqual([400, code, msg]);
  });

  test('of a session that has expired is refused', async () => {
    const { auth, service } = await started();
    service.pass(8 * 86_400);
    expect(shown((await auth.refreshSession()).error)).toEqual([
      400,
      'session_expired',
      'Invalid Refresh Token: Session Expired',
    ]);
  });

  test('while the database is away is a fault of the server, after which the client keeps the session', async () => {
    const proxy = await startProxy();
    const { request, session } = await started({}, { databaseUrl: proxy.url });
    await proxy.refuse();
    const { refresh_token } = session;
    const { status, body } = await request('POST', '/token?grant_type=refresh_token', { body: { refresh_token } });
    expect([status, body.error_code]).toEqual([503, 'unexpected_failure']);
    expect(body.error_id).toBeTypeOf('string');
    await proxy.accept();
    const again = await request('POST', '/token?grant_type=refresh_token', { body: { refresh_token } });
    expect(again.status).toBe(200);
  });
});

describe('getClaims', () => {
  test('verifies a token with the published keys', async () => {
    const { auth, user } = await started();
    const { data, error } = await auth.getClaims();
    expect(error).toBeNull();
    expect(data!.claims.sub).toBe(user.id);
    expect(data!.header.alg).toBe('ES256');
  });
});

describe('getUser', () => {
  test('shows what applications and users have stored', async () => {
    const { auth, service, user } = await started();
    const { admin } = service.clients('json');
    await admin.updateUser(
      { userId: user.id, appMetadata: { plan: 'pro' }, userMetadata: { theme: 'dark' } },
      asService,
    );
    const { data } = await auth.getUser();
    expect(data.user).toMatchObject({
      app_metadata: { provider: 'email', providers: ['email'], plan: 'pro' },
      user_metadata: { theme: 'dark' },
    });
  });

  test('after the session was revoked drops the local session', async () => {
    const { auth, request, session } = await started();
    await request('POST', '/logout', { headers: asUser(session.access_token) });
    const { error } = await auth.getUser();
    expect(error).toMatchObject({ name: 'AuthSessionMissingError' });
    const { status, body } = await request('GET', '/user', { headers: asUser(session.access_token) });
    expect([status, body.error_code, body.msg]).toEqual([
      403,
      'session_not_found',
      'Session from session_id claim in JWT does not exist',
    ]);
  });

  test('with an expired token is refused', async () => {
    const { request, service, session } = await started();
    service.pass(3601);
    const { status, body } = await request('GET', '/user', { headers: asUser(session.access_token) });
    expect([status, body.error_code]).toEqual([403, 'bad_jwt']);
  });
});

describe('signOut', () => {
  test.each([
    ['global', [false, false]],
    ['local', [false, true]],
    ['others', [true, false]],
  ] as const)('with the scope %s', async (scope, remaining) => {
    const { client } = await started();
    const [here, there] = [client(), client()];
    await here.signInWithPassword({ email, password });
    await there.signInWithPassword({ email, password });
    const tokens = (await Promise.all([here, there].map((each) => each.getSession()))).map(({ data }) => data.session!);
    expect((await here.signOut({ scope })).error).toBeNull();
    const alive = await Promise.all(
      tokens.map(async ({ access_token }) => !(await client().getUser(access_token)).error),
    );
    expect(alive).toEqual(remaining);
    const refreshed = await Promise.all(tokens.map(async (each) => !(await client().refreshSession(each)).error));
    expect(refreshed).toEqual(remaining);
  });

  test('twice is no fault of the server, and another scope is refused', async () => {
    const { request, session } = await started();
    const headers = asUser(session.access_token);
    const bad = await request('POST', '/logout?scope=toString', { headers });
    expect([bad.status, bad.body.msg]).toEqual([400, 'Unsupported logout scope "toString"']);
    expect((await request('POST', '/logout', { headers })).status).toBe(204);
    expect((await request('POST', '/logout', { headers })).body.error_code).toBe('session_not_found');
    expect((await request('POST', '/logout')).status).toBe(401);
  });
});

describe('DELETE /user', () => {
  test('deletes the caller, whose tokens stop and whose address is free', async () => {
    const { request, session, client, auth } = await started();
    expect((await request('DELETE', '/user', { headers: asUser(session.access_token) })).status).toBe(204);
    expect((await auth.refreshSession()).error).toMatchObject({ name: 'AuthSessionMissingError' });
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
    expect((await client().getUser(session.access_token)).error).not.toBeNull();
    expect((await client().signUp({ email, password })).error).toBeNull();
  });

  test('is refused without a token, and long after the last sign-in', async () => {
    const { request, session, service } = await started();
    expect((await request('DELETE', '/user')).status).toBe(401);
    service.pass(700);
    const { status, body } = await request('DELETE', '/user', { headers: asUser(session.access_token) });
    expect([status, body.error_code]).toEqual([400, 'reauthentication_needed']);
  });
});

test('GET /sessions lists the live sessions of the caller', async () => {
  const { request, client, session } = await started();
  await client().signInWithPassword({ email, password });
  const headers = asUser(session.access_token);
  const { body } = await request('GET', '/sessions', { headers });
  expect(body).toHaveLength(2);
  expect(body.filter(({ current }: { current: boolean }) => current)).toEqual([
    expect.objectContaining({
      ...{ id: decodeJwt(session.access_token).session_id, kind: 'web', aal: 'aal1', ip: '127.0.0.1' },
      ...{ amr: [{ method: 'password', timestamp: expect.any(Number) }], created_at: expect.any(String) },
    }),
  ]);
  expect((await request('GET', '/sessions')).status).toBe(401);
});
