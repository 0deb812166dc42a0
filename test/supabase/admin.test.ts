import { describe, expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import type { StartOptions } from '../support/start.ts';
import { asUser, confirmed, publishableKey, shown, startSupabase, supabaseAdmin } from '../support/supabase.ts';

const { email, password } = ada;

async function started(env: Record<string, string> = {}, options: StartOptions = {}) {
  const supabase = await startSupabase({ env, ...options });
  return { ...supabase, admin: supabaseAdmin(supabase.service) };
}

describe('admin.createUser', () => {
  test('creates a user with exactly what was sent, and sends no mail', async () => {
    const { admin, service, client } = await started(confirmed);
    const user_metadata = { name: 'Ada', nested: { a: [1, null] } };
    const { data, error } = await admin.createUser({ email, password, user_metadata, app_metadata: { plan: 'pro' } });
    expect(error).toBeNull();
    expect(data.user!.user_metadata).toEqual(user_metadata);
    expect(data.user!.app_metadata).toEqual({ provider: 'email', providers: ['email'], plan: 'pro' });
    expect(data.user!.email_confirmed_at).toBeUndefined();
    expect(await mailsTo(service, email)).toEqual([]);
    const { data: found } = await admin.getUserById(data.user!.id);
    expect(found.user).toEqual(data.user);
    await admin.updateUserById(data.user!.id, { email_confirm: true });
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
  });

  test('confirms the address, sets a ban and takes a hash of another system', async () => {
    const { admin, client } = await started();
    const password_hash = '$2b$04$KIXe2BvRpqTWmqJ9b9WmRe2g1d0sIaO0s1o2bDJ3i4D2X9b8r2a5C';
    const hashed = await admin.createUser({ email: bob.email, password_hash, email_confirm: true });
    expect(hashed.error).toBeNull();
    const { data } = await admin.createUser({ email, password, email_confirm: true, ban_duration: '24h' });
    const hours = (new Date((data.user as { banned_until?: string }).banned_until!).getTime() - Date.now()) / 3_600_000;
    expect(Math.round(hours)).toBe(24);
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('user_banned');
    await admin.updateUserById(data.user!.id, { ban_duration: 'none' });
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
  });

  test('refuses a taken address, no address, and both a password and a hash', async () => {
    const { admin, service } = await started();
    await service.clients('json').admin.createUser(ada, asService);
    expect(shown((await admin.createUser({ email: email.toUpperCase() })).error)).toEqual([
      422,
      'email_exists',
      'A user with this email address has already been registered',
    ]);
    expect(shown((await admin.createUser({})).error)).toEqual([
      400,
      'validation_failed',
      'Cannot create a user without either an email or phone',
    ]);
    const both = await admin.createUser({ email: bob.email, password, password_hash: 'x' });
    expect(both.error!.code).toBe('validation_failed');
    for (const ban_duration of ['1 day', '5x', '-1h', '0s'])
      expect((await admin.createUser({ email: bob.email, ban_duration })).error!.status).toBe(400);
  });
});

describe('admin.listUsers', () => {
  test('lists the newest first, by pages that the library follows', async () => {
    const { admin } = await started();
    for (let n = 1; n <= 5; n++) await admin.createUser({ email: `user-${n}@example.org` });
    const first = await admin.listUsers({ page: 1, perPage: 2 });
    expect(first.data.users.map((each) => each.email)).toEqual(['user-5@example.org', 'user-4@example.org']);
    expect(first.data).toMatchObject({ aud: 'authenticated', nextPage: 2, lastPage: 3, total: 5 });
    const last = await admin.listUsers({ page: 3, perPage: 2 });
    expect(last.data.users.map((each) => each.email)).toEqual(['user-1@example.org']);
    expect((last.data as { nextPage: number | null }).nextPage).toBeNull();
    expect((await admin.listUsers()).data.users).toHaveLength(5);
    expect((await admin.listUsers({ perPage: 1000 })).data.users).toHaveLength(5);
  });

  test('reads more than the method returns at once', async () => {
    // The users are inserted without accounts.
    const { request, service } = await started({}, { skipChecks: ['orphans'] });
    await service.database.query(
      `insert into users (id, project_id, email, email_key, app_metadata, user_metadata, created_at, updated_at)
       select gen_random_uuid(), p.id, 'n' || n || '@example.org', 'n' || n || '@example.org', '{}', '{}',
         now() + n * interval '1 second', now() from projects p, generate_series(1, 450) n`,
    );
    const headers = { authorization: asService.headers.authorization };
    const { body } = await request('GET', '/admin/users?page=1&per_page=420', { headers });
    const addresses = body.users.map((each: { email: string }) => each.email);
    expect(addresses).toEqual(Array.from({ length: 420 }, (_, n) => `n${450 - n}@example.org`));
  });

  test('refuses a page that is no number', async () => {
    const { request } = await started();
    for (const query of ['page=-1', 'page=x', 'per_page=1.5', 'page=999999']) {
      const { status, body } = await request('GET', `/admin/users?${query}`, { headers: asService.headers });
      expect([status, body.error_code]).toEqual([400, 'validation_failed']);
      expect(body.msg).toMatch(/^Bad Pagination Parameters/);
    }
    expect((await request('GET', '/admin/users?page=&per_page=', { headers: asService.headers })).status).toBe(200);
  });
});

describe('admin.updateUserById', () => {
  test('changes everything at once, without a mail to the new address, and ends the sessions', async () => {
    const { admin, service, client } = await started(confirmed);
    const auth = client();
    const { data } = await auth.signUp({ email, password });
    const next = 'ada@example.com';
    const attributes = { email: next, email_confirm: true, password: 'quite another phrase', user_metadata: { a: 1 } };
    const updated = await admin.updateUserById(data.user!.id, attributes);
    expect(updated.error).toBeNull();
    expect(updated.data.user).toMatchObject({ email: next, user_metadata: { a: 1 } });
    expect(await mailsTo(service, next)).toHaveLength(1);
    expect((await auth.refreshSession()).error).not.toBeNull();
    const signedIn = await client().signInWithPassword({ email: next, password: 'quite another phrase' });
    expect(signedIn.error).toBeNull();
  });
});

describe('admin.deleteUser', () => {
  test('deletes the user and frees the address', async () => {
    const { admin } = await started();
    const { data } = await admin.createUser({ email });
    expect((await admin.deleteUser(data.user!.id)).error).toBeNull();
    expect(shown((await admin.getUserById(data.user!.id)).error)).toEqual([404, 'user_not_found', 'User not found']);
    expect((await admin.createUser({ email })).error).toBeNull();
  });

  test('answers 404 for an unknown user and for an id that is no UUID', async () => {
    const { request } = await started();
    const unknown = await request('DELETE', `/admin/users/${crypto.randomUUID()}`, { headers: asService.headers });
    expect([unknown.status, unknown.body.error_code]).toEqual([404, 'user_not_found']);
    const { status, body } = await request('GET', '/admin/users/1', { headers: asService.headers });
    expect([status, body.error_code, body.msg]).toEqual([404, 'validation_failed', 'user_id must be an UUID']);
  });
});

describe('the routes of backends', () => {
  const routes = [
    ['GET', '/admin/users'],
    ['POST', '/admin/users'],
    ['GET', '/admin/users/019ac5d0-7d3e-7b41-9c55-2f6a8e4d1b90'],
    ['PUT', '/admin/users/019ac5d0-7d3e-7b41-9c55-2f6a8e4d1b90'],
    ['DELETE', '/admin/users/019ac5d0-7d3e-7b41-9c55-2f6a8e4d1b90'],
    ['POST', '/admin/generate_link'],
    ['POST', '/invite'],
    ['GET', '/admin/audit'],
  ] as const;

  test('refuse a user, a key of a project, a forged token and nobody', async () => {
    const { request, client } = await started(confirmed);
    const { data } = await client().signUp({ email, password });
    const body = { email: bob.email, type: 'recovery' };
    for (const [method, path] of routes) {
      const by = async (authorization: string | undefined) => {
        const headers: Record<string, string> = authorization ? { authorization } : {};
        const answer = await request(method, path, { headers, ...(method !== 'GET' && { body }) });
        return [answer.status, answer.body.error_code];
      };
      expect([path, await by(`Bearer ${data.session!.access_token}`)]).toEqual([path, [403, 'not_admin']]);
      expect([path, await by(`Bearer ${publishableKey}`)]).toEqual([path, [403, 'bad_jwt']]);
      expect([path, await by('Bearer eyJhbGciOiJub25lIn0.e30.x')]).toEqual([path, [403, 'bad_jwt']]);
      expect([path, await by(undefined)]).toEqual([path, [401, 'no_authorization']]);
    }
  });

  test('admit an operator, who generates no links', async () => {
    const { request, service } = await started();
    const operator = await service.operator();
    const headers = asUser(operator.tokens.accessToken);
    expect((await request('GET', '/admin/users', { headers })).status).toBe(200);
    const body = { type: 'recovery', email: operator.user.email };
    expect((await request('POST', '/admin/generate_link', { headers, body })).status).toBe(403);
    const password = { password: 'quite another phrase' };
    const path = `/admin/users/${operator.user.id}`;
    expect((await request('PUT', path, { headers, body: password })).status).toBe(403);
  });
});

test('GET /admin/audit lists events, newest first, by action', async () => {
  const { request, admin } = await started();
  await admin.createUser({ email });
  await admin.createUser({ email: bob.email });
  const headers = asService.headers;
  const { body } = await request('GET', '/admin/audit?query=action:user.create&per_page=1', { headers });
  expect(body).toHaveLength(1);
  expect(body[0]).toMatchObject({ payload: { action: 'user.create', actor_id: 'backend', result: 'success' } });
  const second = await request('GET', '/admin/audit?query=action:user.create&per_page=1&page=2', { headers });
  expect(second.body[0].created_at <= body[0].created_at).toBe(true);
  expect(second.body[0].id).not.toBe(body[0].id);
  expect((await request('GET', '/admin/audit?query=nonsense', { headers })).status).toBe(400);
});
