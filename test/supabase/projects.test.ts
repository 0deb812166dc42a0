import { describe, expect, test } from 'vitest';
import { routes } from '../../src/http/supabase/routes.ts';
import { lastMail } from '../support/inbox.ts';
import { ada, serviceKey } from '../support/people.ts';
import { start } from '../support/start.ts';
import { asUser, codeFor, followLink, startSupabase, supabaseClient, surfaceOf } from '../support/supabase.ts';
import { createTenant, defaultTenant } from '../support/tenants.ts';

const { email, password } = ada;
const siteUrl = 'https://b.example.org/';
const env = { SITE_URL: 'http://app.example.com', REDIRECT_URLS: 'http://app.example.com/**' };

describe('a client with the publishable key of a project', () => {
  test('signs up, confirms, signs in and refreshes there', async () => {
    const { service, client } = await startSupabase({ env });
    const b = await createTenant(service, 'b', { siteUrl });
    const inB = supabaseClient(service, { key: b.project.publishableKey });
    expect((await inB.signUp({ email, password })).error).toBeNull();
    const { link } = await lastMail(service, email);
    expect(link).toContain(`apikey=${b.project.publishableKey}`);
    const { place, fragment } = await followLink(service, email);
    expect(place.origin).toBe('https://b.example.org');
    expect(fragment.access_token).toBeTypeOf('string');
    const signedIn = await inB.signInWithPassword({ email, password });
    expect(signedIn.error).toBeNull();
    const refreshed = await inB.refreshSession();
    expect(refreshed.data.user!.id).toBe(signedIn.data.user!.id);
    expect((await inB.getUser()).data.user!.email).toBe(email);
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
    expect((await client().refreshSession(signedIn.data.session!)).error).not.toBeNull();
  });

  test('is led back to the places of that project only', async () => {
    const { service, client } = await startSupabase({ env });
    const redirectUrls = { values: ['https://other.example.org/**'] };
    const b = await createTenant(service, 'b', { siteUrl, redirectUrls });
    const inB = supabaseClient(service, { key: b.project.publishableKey });
    const leadsTo = async (from: typeof inB, emailRedirectTo: string, to: string) => {
      await from.signInWithOtp({ email: to, options: { emailRedirectTo } });
      return (await followLink(service, to)).place.href.split('#')[0];
    };
    const [ofB, ofDefault] = ['https://other.example.org/in', 'http://app.example.com/in'];
    expect(await leadsTo(inB, ofB, 'one@example.org')).toBe(ofB);
    expect(await leadsTo(inB, ofDefault, 'two@example.org')).toBe(siteUrl);
    expect(await leadsTo(client(), ofDefault, 'three@example.org')).toBe(ofDefault);
    expect(await leadsTo(client(), ofB, 'four@example.org')).toBe('http://app.example.com/');
  });

  test('has the settings of that project', async () => {
    const { service, client, request } = await startSupabase({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const settings = { signUp: false, anonymousSignIn: false, passwordMinLength: 20, autoConfirmEmail: false };
    const b = await createTenant(service, 'b', settings);
    const inB = supabaseClient(service, { key: b.project.publishableKey });
    expect((await inB.signUp({ email, password })).error!.code).toBe('signup_disabled');
    expect((await inB.signInAnonymously()).error!.code).toBe('anonymous_provider_disabled');
    const seen = async (headers: Record<string, string>) => (await request('GET', '/settings', { headers })).body;
    expect(await seen(b.apikey)).toMatchObject({ disable_signup: true, mailer_autoconfirm: false });
    expect(await seen({ 'gatehouse-project': 'b' })).toMatchObject({ disable_signup: true });
    expect(await seen({})).toMatchObject({ disable_signup: false, mailer_autoconfirm: true });
    const weak = await supabaseClient(service, { key: b.serviceKey }).admin.createUser({ email, password });
    expect(weak.error!.code).toBe('weak_password');
    expect((await client().signUp({ email, password })).error).toBeNull();
  });

  test('administers its users with a service key of the project', async () => {
    const { service } = await startSupabase();
    const b = await createTenant(service, 'b');
    const admin = supabaseClient(service, { key: b.serviceKey }).admin;
    const { data } = await admin.createUser({ email, password, email_confirm: true });
    const ofDefault = supabaseClient(service, { key: serviceKey }).admin;
    expect((await ofDefault.getUserById(data.user!.id)).error!.status).toBe(404);
    expect((await admin.getUserById(data.user!.id)).data.user!.email).toBe(email);
    expect((await ofDefault.listUsers()).data.users).toEqual([]);
  });
});

test('an unknown publishable key is refused, and any other apikey is of the default project', async () => {
  const { request } = await startSupabase();
  const unknown = await request('GET', '/settings', { headers: { apikey: 'ghpub_0000000000000000000000000000' } });
  expect([unknown.status, unknown.body.msg]).toEqual([401, 'Invalid API key']);
  expect((await request('GET', '/settings', { headers: { apikey: 'sb_publishable_any' } })).status).toBe(200);
  const named = await request('GET', '/settings', { headers: { 'gatehouse-project': 'unknown' } });
  expect([named.status, named.body.error_code]).toEqual([404, 'project_not_found']);
});

test('where SUPABASE_API_KEYS lists keys, the publishable key of a project is one too', async () => {
  const { service, request } = await startSupabase({ env: { SUPABASE_API_KEYS: 'sb_publishable_4711' } });
  const { apikey } = await createTenant(service, 'b');
  expect((await request('GET', '/settings')).status).toBe(401);
  expect((await request('GET', '/settings', { headers: apikey })).status).toBe(200);
});

/** Routes that succeed without a credential, or answer alike for every value. */
const open = new Set([
  'GET /health',
  'GET /settings',
  'POST /signup',
  'POST /otp',
  'POST /magiclink',
  'POST /recover',
  'POST /resend',
  'POST /passkeys/authentication/options',
]);

test('no route takes a credential or a value of another project', async () => {
  const service = await start({ env });
  const b = await createTenant(service, 'b');
  const { request } = surfaceOf(service);
  const client = supabaseClient(service);
  await client.signUp({ email, password });
  await followLink(service, email);
  const { data } = await client.signInWithPassword({ email, password });
  const { access_token: accessToken, refresh_token: refreshToken } = data.session!;
  const inB = supabaseClient(service, { key: b.serviceKey }).admin;
  await inB.createUser({ email, password: 'a phrase of the project b', email_confirm: true });
  service.pass(61);
  await client.resetPasswordForEmail(email);
  const [code, mail] = [await codeFor(service, email), await lastMail(service, email)];
  const body = {
    ...{ email, password, refresh_token: refreshToken, auth_code: data.user!.id, code_verifier: 'x'.repeat(64) },
    ...{ token: code, type: 'recovery', data: { theme: 'dark' }, provider: 'google', id_token: accessToken },
  };
  const grants = ['password', 'refresh_token', 'pkce', 'id_token'].map((grant) => `?grant_type=${grant}`);
  const deviations: object[] = [];
  for (const { method, path } of routes) {
    const place = path.replace(/:[a-z_]*id/gi, data.user!.id).replace(/:\w+/g, data.user!.id);
    const queries = path === '/token' ? grants : [''];
    const bodies = path === '/verify' ? [body, { token_hash: mail.token, type: 'recovery' }] : [body];
    const query = method === 'GET' && path === '/verify' ? [`?token=${mail.token}&type=recovery`] : queries;
    for (const headers of [asUser(accessToken), asUser(serviceKey), {}])
      for (const each of query)
        for (const sent of bodies) {
          const before = await defaultTenant(service.database);
          const options = { headers: { ...headers, ...b.apikey }, ...(method !== 'GET' && { body: sent }) };
          const { status, body: answer, headers: answered } = await request(method, place + each, options);
          expect(await defaultTenant(service.database), `${method} ${path}`).toEqual(before);
          const isRefused = status >= 400 || /error/.test(answered.get('location') ?? '');
          if (!isRefused && !open.has(`${method} ${path}`)) deviations.push({ method, path, status, answer });
        }
  }
  expect(deviations).toEqual([]);
}, 120_000);
