import { readFileSync } from 'node:fs';
import { GoTrueClient } from '@supabase/auth-js';
import { describe, expect, test } from 'vitest';
import type { Reason } from '../../src/errors.ts';
import type { RouteName } from '../../src/http/supabase/error-table.ts';
import { rowOf } from '../../src/http/supabase/errors.ts';
import type { Route } from '../../src/http/supabase/route.ts';
import { routes } from '../../src/http/supabase/routes.ts';
import { reasonsOf } from '../support/documented-reasons.ts';
import { ada, serviceKey } from '../support/people.ts';
import { asUser, confirmed, publishableKey, startSupabase, supabaseAdmin, surfaceOf } from '../support/supabase.ts';

const coded = { 'x-supabase-api-version': '2024-01-01' };

function statusOf(name: RouteName, reason: Reason): number {
  const row = rowOf(name, reason)!;
  return (typeof row === 'function' ? row({ metadata: {}, fields: [], wait: undefined }) : row)[0];
}

test('every reason that a route can have has a status and a code', () => {
  const unmapped = routes.flatMap(({ name, path, method, calls }) =>
    calls
      .flatMap((each) => [...reasonsOf(each)])
      .filter((reason) => !rowOf(name, reason as Reason))
      .map((reason) => `${method} ${path}: ${reason}`),
  );
  expect([...new Set(unmapped)]).toEqual([]);
});

test('docs/supabase.md lists every route', () => {
  const table = readFileSync('docs/supabase.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  const isListed = ({ method, path }: Route) =>
    table.some((line) => {
      const [, cell = ''] = line.split('|');
      return cell.includes(method) && cell.replaceAll(/\{(\w+)\}/g, ':$1').includes(path);
    });
  expect(routes.filter((each) => !isListed(each)).map(({ method, path }) => `${method} ${path}`)).toEqual([]);
});

test('client faults are 4xx, and outages 5xx', () => {
  const outages = new Set([
    'SERVER_BUSY',
    'SHUTTING_DOWN',
    'DATABASE_UNAVAILABLE',
    'DEADLINE_EXCEEDED',
    'CANCELED',
    'INTERNAL',
    'OAUTH_PROVIDER_UNAVAILABLE',
  ]);
  for (const { name, calls } of routes)
    for (const reason of calls.flatMap((each) => [...reasonsOf(each)]))
      if (!(name === 'refresh' && reason === 'TRY_AGAIN'))
        expect([name, reason, statusOf(name, reason as Reason) >= 500]).toEqual([name, reason, outages.has(reason)]);
});

test('what the service does not have is off for the library, and no unknown fault', async () => {
  const { service, client } = await startSupabase({ env: confirmed });
  const auth = client();
  await auth.signUp({ email: ada.email, password: ada.password });
  const admin = supabaseAdmin(service);
  const id = '01890000-0000-7000-8000-000000000000';
  const calls = [
    () => auth.oauth.getAuthorizationDetails(id),
    () => auth.oauth.approveAuthorization(id),
    () => auth.oauth.listGrants(),
    () => auth.oauth.revokeGrant({ clientId: id }),
    () => admin.customProviders.listProviders(),
    () => admin.customProviders.getProvider('custom:x'),
    () => admin.customProviders.deleteProvider('custom:x'),
  ];
  for (const call of calls) {
    const { error } = await call();
    expect([error!.status, error!.code], String(call)).toEqual([404, 'feature_disabled']);
  }
  const { url } = surfaceOf(service);
  const experimental = new GoTrueClient({ url, autoRefreshToken: false, experimental: { recoveryCodes: true } });
  await experimental.signInWithPassword({ email: ada.email, password: ada.password });
  const { recoveryCodes } = experimental.mfa;
  for (const call of [
    recoveryCodes.getStatus,
    recoveryCodes.generate,
    recoveryCodes.regenerate,
    recoveryCodes.unenroll,
  ])
    expect((await call()).error!.code).toBe('mfa_recovery_codes_enroll_not_enabled');
  expect((await recoveryCodes.verify({ code: 'x' })).error!.code).toBe('mfa_recovery_codes_verify_not_enabled');
});

describe('a client without a library', () => {
  test('reads the newer shape of errors with the version header, and the older one without', async () => {
    const { request } = await startSupabase();
    const body = { email: ada.email, password: 'wrong' };
    const newer = await request('POST', '/token?grant_type=password', { body, headers: coded });
    expect(newer.status).toBe(400);
    expect(newer.body).toEqual({ code: 'invalid_credentials', message: 'Invalid login credentials' });
    expect(newer.headers.get('x-supabase-api-version')).toBe('2024-01-01');
    expect(newer.headers.get('x-sb-error-code')).toBe('invalid_credentials');
    for (const version of ['2023-12-31', 'yesterday', undefined]) {
      const headers: Record<string, string> = version ? { 'x-supabase-api-version': version } : {};
      const older = await request('POST', '/token?grant_type=password', { body, headers });
      expect(older.body).toEqual({ code: 400, error_code: 'invalid_credentials', msg: 'Invalid login credentials' });
      expect(older.headers.get('x-supabase-api-version')).toBeNull();
      expect(older.headers.get('x-sb-error-code')).toBe('invalid_credentials');
    }
    const later = await request('POST', '/token?grant_type=password', {
      body,
      headers: { 'x-supabase-api-version': '2031-01-01' },
    });
    expect(later.body.code).toBe('invalid_credentials');
  });

  test('gets 404 for another path, 405 for another method, and 400 for a body that is not JSON', async () => {
    const { request } = await startSupabase();
    expect([(await request('GET', '/nothing')).status, (await request('GET', '')).status]).toEqual([404, 404]);
    const refused = await request('PATCH', '/user');
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, PUT, DELETE']);
    for (const body of ['{', '[]', '"text"', '{"email": 5}'])
      expect((await request('POST', '/signup', { body, headers: coded })).body).toMatchObject({
        code: 'bad_json',
        message: expect.stringMatching(/^Could not parse request body as JSON:/),
      });
    const large = await request('POST', '/signup', {
      body: JSON.stringify({ data: 'x'.repeat(1024 * 1024) }),
      headers: coded,
    });
    expect([large.status, large.body.code]).toEqual([413, 'request_entity_too_large']);
  });

  test('may send null and unknown members, an empty body, and no apikey', async () => {
    const { request } = await startSupabase({ env: confirmed });
    const extra = {
      code_challenge: null,
      code_challenge_method: null,
      channel: null,
      gotrue_meta_security: {},
      data: null,
    };
    const signedUp = await request('POST', '/signup/', { body: { ...ada, ...extra } });
    expect(signedUp.status).toBe(200);
    const out = await request('POST', '/logout', { headers: asUser(signedUp.body.access_token) });
    expect([out.status, out.body]).toEqual([204, '']);
  });

  test('may send a form', async () => {
    const { request } = await startSupabase({ env: confirmed });
    await request('POST', '/signup', { body: ada });
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ grant_type: 'password', email: ada.email, password: ada.password }).toString();
    expect((await request('POST', '/token', { body, headers: form })).status).toBe(200);
  });

  test('without a bearer token, and with a malformed one, is refused before anything is read', async () => {
    const { request } = await startSupabase();
    for (const authorization of ['', 'Bearer ', 'Basic abc', 'Bearer a b']) {
      const { status, body } = await request('GET', '/user', { headers: { ...coded, authorization } });
      expect([status, body.code]).toEqual([401, 'no_authorization']);
      expect(body.message).toMatch(/Bearer token/);
    }
  });

  test('with a token that nobody signed gets 403', async () => {
    const { request } = await startSupabase();
    for (const token of ['eyJhbGciOiJIUzI1NiJ9.e30.c2ln', publishableKey, 'sb_secret_x']) {
      const { status, body } = await request('GET', '/user', { headers: { ...coded, ...asUser(token) } });
      expect([status, body.code]).toEqual([403, 'bad_jwt']);
      expect(body.message).toMatch(/^invalid JWT: unable to parse or verify signature/);
    }
  });

  test('reads the health, the settings and the keys', async () => {
    const { request, service } = await startSupabase({
      env: { ...confirmed, SIGN_UP: 'off', ANONYMOUS_SIGN_IN: 'off' },
    });
    expect((await request('GET', '/health')).body).toMatchObject({ name: 'GoTrue', version: expect.any(String) });
    const { body: settings } = await request('GET', '/settings');
    expect(settings).toMatchObject({
      disable_signup: true,
      mailer_autoconfirm: true,
      sms_provider: '',
      mfa_enabled: true,
      saml_enabled: false,
      passkeys_enabled: true,
    });
    expect(settings.external).toMatchObject({
      email: true,
      phone: false,
      anonymous_users: false,
      google: false,
      apple: false,
    });
    const keys = await request('GET', '/.well-known/jwks.json');
    expect(keys.headers.get('cache-control')).toMatch(/^public, max-age=\d+$/);
    expect(keys.body.keys.map(({ kid }: { kid: string }) => kid)).toContain(service.replicas[0]!.ring.signer().id);
    for (const key of keys.body.keys) {
      expect(key).toMatchObject({ kty: 'EC', alg: 'ES256', use: 'sig', key_ops: ['verify'] });
      expect(key).not.toHaveProperty('d');
    }
  });
});

test('verifiers find the keys by the issuer', async () => {
  const { request, service } = await startSupabase();
  for (const name of ['openid-configuration', 'oauth-authorization-server'])
    expect((await request('GET', `/.well-known/${name}`)).body).toMatchObject({
      issuer: 'http://gatehouse.test/auth/v1',
      jwks_uri: 'http://gatehouse.test/.well-known/jwks.json',
    });
  expect(service.config.publicUrl).toBe('http://gatehouse.test');
});

test('with SUPABASE_API_KEYS only clients with such a key are served, and links and probes', async () => {
  const { request, client, service } = await startSupabase({
    env: { ...confirmed, SUPABASE_API_KEYS: publishableKey },
  });
  expect((await client().signUp(ada)).error).toBeNull();
  expect((await supabaseAdmin(service).listUsers()).error).toBeNull();
  for (const apikey of ['', 'sb_publishable_other', serviceKey]) {
    const headers: Record<string, string> = apikey ? { apikey } : {};
    const { status, body } = await request('POST', '/token?grant_type=password', { body: ada, headers });
    expect([status, body.error_code]).toEqual([401, 'no_authorization']);
  }
  expect((await request('GET', '/health')).status).toBe(200);
  expect((await request('GET', '/verify?type=signup&token=x')).status).toBe(303);
});

describe('a page of a listed origin', () => {
  const origin = 'https://app.example.com';

  test('may send the headers of supabase-js, use all methods and read the version of errors', async () => {
    const { url } = await startSupabase({ env: { CORS_ORIGINS: origin } });
    const names = 'apikey,authorization,content-type,x-client-info,x-supabase-api-version';
    const asks = { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': names };
    const preflight = await fetch(`${url}/user`, { method: 'OPTIONS', headers: asks });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, origin]);
    const allowed = preflight.headers.get('access-control-allow-headers')!.toLowerCase().split(', ');
    expect(names.split(',').filter((each) => !allowed.includes(each))).toEqual([]);
    for (const method of ['PUT', 'PATCH', 'DELETE'])
      expect(preflight.headers.get('access-control-allow-methods')).toContain(method);
    const response = await fetch(`${url}/user`, { headers: { origin } });
    const exposed = response.headers.get('access-control-expose-headers')!;
    for (const name of ['X-Supabase-Api-Version', 'X-Total-Count', 'Link']) expect(exposed).toContain(name);
  });

  test('of another origin reads nothing', async () => {
    const { url } = await startSupabase({ env: { CORS_ORIGINS: origin } });
    const response = await fetch(`${url}/settings`, { headers: { origin: 'https://evil.example' } });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });
});
