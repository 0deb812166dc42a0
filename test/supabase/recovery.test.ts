import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { asUser, codeFor, confirmed, followLink, startSupabase } from '../support/supabase.ts';

const { email, password } = ada;
const site = 'http://app.example.com/';
const env = { SITE_URL: site, REDIRECT_URLS: 'http://app.example.com/**' };

describe('resetPasswordForEmail', () => {
  const started = async (more = {}) => {
    const supabase = await startSupabase({ env: { ...env, ...confirmed, ...more } });
    const { data } = await supabase.client().signUp({ email, password });
    return { ...supabase, session: data.session! };
  };

  test('answers alike for a known and an unknown address', async () => {
    const { request, service } = await started();
    for (const address of [email, bob.email]) {
      const { status, body } = await request('POST', '/recover', { body: { email: address } });
      expect([status, body]).toEqual([200, {}]);
    }
    expect(await mailsTo(service, bob.email)).toEqual([]);
  });

  test('opens a session in which the user sets a new password, and ends the others', async () => {
    const { client, service, session } = await started();
    await client().resetPasswordForEmail(email, { redirectTo: 'http://app.example.com/reset' });
    const { place, fragment } = await followLink(service, email);
    expect([place.pathname, fragment.type]).toEqual(['/reset', 'recovery']);
    const auth = client();
    await auth.setSession(fragment as { access_token: string; refresh_token: string });
    expect(decodeJwt(fragment.access_token!)).toMatchObject({ aal: 'aal1', amr: [{ method: 'recovery' }] });
    const { error } = await auth.updateUser({ password: 'quite another phrase' });
    expect(error).toBeNull();
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
    expect((await client().signInWithPassword({ email, password: 'quite another phrase' })).error).toBeNull();
    expect((await client().refreshSession(session)).error).not.toBeNull();
    expect((await auth.getUser()).error).toBeNull();
  });

  test('sets the password in one step when it comes with the code', async () => {
    const { client, service, request, session } = await started();
    await client().resetPasswordForEmail(email);
    const token = await codeFor(service, email);
    const body = { type: 'recovery', email, token, password: 'quite another phrase' };
    const weak = await request('POST', '/verify', { body: { ...body, password: 'x' } });
    expect([weak.status, weak.body.error_code]).toEqual([422, 'weak_password']);
    const { status, body: signedIn } = await request('POST', '/verify', { body });
    expect([status, signedIn.user.email]).toEqual([200, email]);
    expect((await client().signInWithPassword({ email, password: 'quite another phrase' })).error).toBeNull();
    expect((await request('GET', '/user', { headers: asUser(session.access_token) })).status).toBe(403);
    expect((await request('POST', '/verify', { body })).status).toBe(403);
  });

  test('with RECOVERY_REQUIRES_PASSWORD keeps the code until a password comes with it', async () => {
    const { client, service, request } = await started({ RECOVERY_REQUIRES_PASSWORD: 'on' });
    await client().resetPasswordForEmail(email);
    const body = { type: 'recovery', email, token: await codeFor(service, email) };
    const without = await request('POST', '/verify', { body });
    expect([without.status, without.body.msg]).toEqual([422, 'Password is required']);
    const withPassword = await request('POST', '/verify', { body: { ...body, password: 'quite another phrase' } });
    expect(withPassword.status).toBe(200);
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
  });

  test('reaches a user without a password', async () => {
    const { client, service } = await startSupabase({ env });
    await service.clients('json').admin.createUser({ email, emailVerified: true }, asService);
    await client().resetPasswordForEmail(email);
    const { error } = await client().verifyOtp({ email, token: await codeFor(service, email), type: 'recovery' });
    expect(error).toBeNull();
  });
});
