// @serializable
import { createHash } from 'node:crypto';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { ada, bob } from '../support/people.ts';
import { shown, supabaseClient } from '../support/supabase.ts';
import { adaAtAcme, adopt, site, startSupabaseWithProvider, urlOf } from '../support/supabase-providers.ts';
import { createTenant } from '../support/tenants.ts';

describe('signInWithOAuth', () => {
  test('leads to the provider and back to the site, with a session in the fragment', async () => {
    const { client, browser, service } = await startSupabaseWithProvider();
    const auth = client();
    const { status, place, fragment } = await browser().signIn(await urlOf(auth));
    expect([status, place.origin + place.pathname, place.search]).toEqual([302, site, '']);
    expect(fragment).toMatchObject({
      token_type: 'bearer',
      expires_in: '3600',
      expires_at: expect.stringMatching(/^\d+$/),
      provider_refresh_token: 'of the provider',
    });
    expect(fragment.provider_token).not.toBe('');
    const { user } = await adopt(auth, fragment);
    expect(user).toMatchObject({
      email: ada.email,
      email_confirmed_at: expect.any(String),
      app_metadata: { provider: 'acme', providers: ['acme'] },
      identities: [{ provider: 'acme', id: 'ada-at-acme', identity_data: { sub: 'ada-at-acme', email: ada.email } }],
    });
    expect(decodeJwt(fragment.access_token!)).toMatchObject({
      amr: [{ method: 'oauth' }],
      app_metadata: { provider: 'acme', providers: ['acme'] },
    });
    const refreshed = await auth.refreshSession();
    expect(refreshed.error).toBeNull();
    expect(decodeJwt(refreshed.data.session!.access_token).app_metadata).toMatchObject({ providers: ['acme'] });
    service.ledger.keepSecret(fragment.provider_token!);
  });

  test('with PKCE leads back with a code, and the tokens of the provider come with the exchange', async () => {
    const { client, browser, service } = await startSupabaseWithProvider();
    const auth = client({ flowType: 'pkce' });
    const { query, fragment, place } = await browser().signIn(
      await urlOf(auth, { redirectTo: 'http://app.example.com/#/welcome' }),
    );
    expect([fragment.access_token, place.hash]).toEqual([undefined, '#/welcome']);
    const other = await client({ flowType: 'pkce' }).exchangeCodeForSession(query.code!);
    expect(other.error).not.toBeNull();
    const { data, error } = await auth.exchangeCodeForSession(query.code!);
    expect(error).toBeNull();
    expect(data.user!.email).toBe(ada.email);
    expect(data.session).toMatchObject({
      provider_token: expect.any(String),
      provider_refresh_token: 'of the provider',
    });
    expect(decodeJwt(data.session!.access_token).amr).toMatchObject([{ method: 'oauth' }]);
    service.ledger.keepSecret(data.session!.provider_token!);
    service.ledger.keepSecret(query.code!);
  });

  test('leads back to allowed places only, app schemes included', async () => {
    const { client, browser } = await startSupabaseWithProvider();
    const auth = client();
    const leads = async (redirectTo: string, claims = adaAtAcme) =>
      (await browser().signIn(await urlOf(auth, { redirectTo }), claims)).place.href.split('#')[0];
    expect(await leads('com.example.app://login-callback')).toBe('com.example.app://login-callback');
    expect(await leads('http://app.example.com/in?from=acme')).toBe('http://app.example.com/in?from=acme');
    for (const place of [
      'https://app.example.com.evil.test/',
      'localhost:5173/reset',
      '//evil.test',
      'javascript:alert(1)',
    ])
      expect(await leads(place), place).toBe(site);
  });

  test('passes scopes and parameters on, except those that the service sets', async () => {
    const { client, browser } = await startSupabaseWithProvider();
    const queryParams = {
      prompt: 'login',
      client_id: 'evil',
      redirect_uri: 'https://evil.test',
      nonce: 'x',
      state: 'y',
    };
    const url = await urlOf(client(), { scopes: 'calendar files', queryParams });
    const page = new URL((await browser().visit(url)).location).searchParams;
    expect(Object.fromEntries(page)).toMatchObject({
      prompt: 'login',
      scope: 'openid email profile calendar files',
      client_id: 'gatehouse-web',
      redirect_uri: 'http://gatehouse.test/auth/v1/callback',
      code_challenge_method: 'S256',
      state: expect.stringMatching(/^ghos_/),
    });
    const listed = await browser().visit(`${url}&skip_http_redirect=true`);
    expect([listed.status, JSON.parse(listed.body).url]).toEqual([200, expect.stringContaining('/authorize?')]);
  });

  test('of an unknown provider, or with half of a challenge, is refused', async () => {
    const { request } = await startSupabaseWithProvider();
    for (const query of ['provider=google', 'provider=', 'provider=../x', '', 'provider=acme&code_challenge=x'])
      expect((await request('GET', `/authorize?${query}`)).body, query).toMatchObject({
        code: 400,
        error_code: 'validation_failed',
      });
  });

  test('of a provider that does not respond is an outage', async () => {
    const { request, provider } = await startSupabaseWithProvider();
    provider.instead.set('/.well-known/openid-configuration', (_, res) => res.writeHead(500).end());
    expect((await request('GET', '/authorize?provider=acme')).status).toBe(503);
  });

  test('works in a browser that began it, once, within five minutes', async () => {
    const { client, browser, provider, service } = await startSupabaseWithProvider();
    const url = await urlOf(client());
    const mine = browser();
    const returned = provider.consent((await mine.visit(url)).location, adaAtAcme);
    const refused = { error: 'invalid_request', error_code: 'bad_oauth_state' };
    const elsewhere = await browser().arrive(returned);
    expect([elsewhere.status, elsewhere.place.origin]).toEqual([303, 'http://app.example.com']);
    expect([elsewhere.query, elsewhere.fragment]).toMatchObject([refused, refused]);
    expect((await mine.arrive(returned)).fragment.access_token).toBeTypeOf('string');
    expect((await mine.arrive(returned)).fragment).toMatchObject(refused);
    const late = provider.consent((await mine.visit(url)).location, adaAtAcme);
    service.pass(301);
    expect((await mine.arrive(late)).fragment).toMatchObject(refused);
    expect((await mine.arrive({ code: 'x' })).fragment).toMatchObject({ error_code: 'bad_oauth_callback' });
    expect((await mine.arrive({ state: 'x'.repeat(300) })).query).toMatchObject({ error_code: 'bad_oauth_callback' });
    expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
  });

  test('of many tabs uses one small cookie, and each tab finishes', async () => {
    const { client, browser, provider } = await startSupabaseWithProvider();
    const url = await urlOf(client());
    const mine = browser();
    const first = provider.consent((await mine.visit(url)).location, adaAtAcme);
    for (let count = 0; count < 20; count++) await mine.visit(url);
    const last = provider.consent((await mine.visit(url)).location, { ...adaAtAcme, sub: 'bob', email: bob.email });
    expect([...mine.cookies.values()].map(({ length }) => length)).toEqual([22]);
    expect((await mine.arrive(last)).fragment.access_token).toBeTypeOf('string');
    expect((await mine.arrive(first)).fragment.access_token).toBeTypeOf('string');
  });

  test('tells the site why it failed', async () => {
    const { client, browser, provider, service } = await startSupabaseWithProvider();
    const redirectTo = 'http://app.example.com/in';
    const url = await urlOf(client(), { redirectTo });
    const mine = browser();
    const { state } = provider.consent((await mine.visit(url)).location, adaAtAcme);
    const denied = await mine.arrive({ state, error: 'access_denied' });
    const about = { error: 'access_denied', error_code: 'access_denied', error_description: expect.any(String) };
    expect([denied.status, denied.place.pathname, denied.query, denied.fragment]).toMatchObject([
      302,
      '/in',
      about,
      about,
    ]);
    await service.welcome({ ...ada, emailVerified: true });
    const unverified = await mine.signIn(url, { ...adaAtAcme, email_verified: false });
    const needs = { error: 'access_denied', error_code: 'provider_email_needs_verification' };
    expect(unverified.fragment).toMatchObject(needs);
    provider.instead.set('/token', (_, res) => res.writeHead(400).end('{"error":"invalid_grant"}'));
    expect((await mine.signIn(url)).query).toMatchObject({
      error: 'invalid_request',
      error_code: 'bad_oauth_callback',
    });
  });

  test('of a user whose address needs a mail first is no session', async () => {
    const { client, browser } = await startSupabaseWithProvider({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
    for (const flowType of ['implicit', 'pkce'] as const) {
      const url = await urlOf(client({ flowType }));
      const { fragment, query } = await browser().signIn(url, { ...adaAtAcme, email_verified: false });
      expect([fragment.error_code, query.code]).toEqual(['provider_email_needs_verification', undefined]);
    }
  });

  test('of a provider that posts the callback works from its own site', async () => {
    const { client, browser } = await startSupabaseWithProvider({}, (each) => ({ apple: each.settings() }));
    const auth = client();
    const mine = browser();
    const url = await urlOf(auth, {}, 'apple');
    const { set } = await mine.visit(url);
    expect(set).toEqual([expect.stringMatching(/posted-flow=[\w-]{22}; Path=\/; HttpOnly; SameSite=None; Secure$/)]);
    const { fragment } = await mine.signIn(url, { ...adaAtAcme, email_verified: 'true' }, 'POST');
    expect((await adopt(auth, fragment)).user!.email).toBe(ada.email);
  });
});

test('a posted callback of another project leads back to that project, with a session there', async () => {
  const { service, browser } = await startSupabaseWithProvider({}, (each) => ({ apple: each.settings() }));
  const siteUrl = 'https://b.example.org/';
  const b = await createTenant(service, 'b', { siteUrl });
  const inB = supabaseClient(service, { key: b.project.publishableKey });
  const { url } = (await inB.signInWithOAuth({ provider: 'apple', options: { skipBrowserRedirect: true } })).data;
  const named = `${url}&apikey=${b.project.publishableKey}`;
  const { place, fragment } = await browser().signIn(named, { ...adaAtAcme, email_verified: 'true' }, 'POST');
  expect(place.origin).toBe('https://b.example.org');
  expect(decodeJwt(fragment.access_token!).project_id).toBe(b.project.id);
});

test('GET /settings names the providers of the service', async () => {
  const { request } = await startSupabaseWithProvider({}, (each) => ({
    apple: each.settings(),
    github: each.plainSettings(),
  }));
  expect((await request('GET', '/settings')).body.external).toMatchObject({
    ...{ acme: true, apple: true, github: true, google: false, kakao: false },
  });
});

describe('signInWithIdToken', () => {
  test('opens a session, with the nonce whose hash the token has, and its access token', async () => {
    const { client, provider } = await startSupabaseWithProvider();
    const hashOf = (text: string) => createHash('sha256').update(text).digest();
    const nonce = hashOf('known').toString('hex');
    const at_hash = hashOf('of acme').subarray(0, 16).toString('base64url');
    const token = await provider.idToken({ ...adaAtAcme, nonce, at_hash });
    const signIn = (more: object) => client().signInWithIdToken({ provider: 'custom:acme', token, ...more });
    const { data, error } = await signIn({ nonce: 'known', access_token: 'of acme' });
    expect(error).toBeNull();
    expect(data.user).toMatchObject({ email: ada.email, identities: [{ provider: 'acme' }] });
    for (const more of [{ nonce: 'other' }, {}, { nonce }, { nonce: 'known', access_token: 'of somebody else' }])
      expect(shown((await signIn(more)).error), JSON.stringify(more)).toEqual([400, undefined, 'Bad ID token']);
  });

  test('answers a bad request as OAuth does, and an unknown provider as it is', async () => {
    const { request, provider } = await startSupabaseWithProvider();
    const token = await provider.idToken(adaAtAcme);
    const post = async (body: object) => (await request('POST', '/token?grant_type=id_token', { body })).body;
    const bad = { error: 'invalid request', error_description: expect.any(String) };
    expect(await post({ provider: 'acme' })).toEqual(bad);
    expect(await post({ id_token: token })).toEqual(bad);
    expect(await post({ id_token: token, issuer: 'https://accounts.google.com' })).toEqual(bad);
    expect(await post({ id_token: 'nonsense', provider: 'acme' })).toEqual({
      ...bad,
      error_description: 'Bad ID token',
    });
    const off = { code: 400, error_code: 'provider_disabled', msg: expect.stringMatching(/not enabled/) };
    expect(await post({ id_token: token, provider: 'google' })).toEqual(off);
    expect(await post({ id_token: token, client_id: 'x', issuer: 'https://accounts.google.com' })).toEqual(off);
    expect(await post({ id_token: token, client_id: 'x', issuer: 'https://evil.test' })).toEqual(off);
    const unknown = { code: 400, error_code: 'validation_failed' };
    expect(await post({ id_token: token, provider: 'other' })).toMatchObject({
      ...unknown,
      msg: expect.stringContaining('Custom OIDC provider "other"'),
    });
    expect(await post({ id_token: token, provider: 'custom:x' })).toMatchObject({
      ...unknown,
      msg: 'Custom provider "custom:x" not found',
    });
  });
});
