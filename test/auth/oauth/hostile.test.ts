import { setTimeout as sleep } from 'node:timers/promises';
import type { JWTPayload } from 'jose';
import { describe, expect, test } from 'vitest';
import { type IdentityProvider, strangersKey } from '../../support/identity-provider.ts';
import { refusalOf } from '../../support/refusal.ts';
import { type TestService, wires } from '../../support/start.ts';
import { adaAtAcme, clientNonce, oauthClient, startWithProvider } from './oauth.ts';

/** Everything that a sign-in writes but the audit trail. */
async function traces({ database }: TestService) {
  return database.query('select 1 from users union all select 1 from identities union all select 1 from sessions');
}

async function causes({ database }: TestService): Promise<string[]> {
  const rows = await database.query<{ cause: string }>(
    'select cause from audit_events where cause is not null order by id',
  );
  return rows.map(({ cause }) => cause);
}

const day = 86_400;

describe.each(wires)('over %s', (wire) => {
  test('an ID token that is not for this sign-in is refused, whatever is wrong with it', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn } = oauthClient(service, provider, wire);
    const without = (claim: string) => (claims: JWTPayload) => ({ ...claims, [claim]: undefined });
    const spoilt: [cause: string, alter: (claims: JWTPayload) => JWTPayload][] = [
      ['issuer', (claims) => ({ ...claims, iss: 'https://evil.example' })],
      ['issuer', (claims) => ({ ...claims, iss: `${provider.url}/` })],
      ['audience', (claims) => ({ ...claims, aud: 'another-client' })],
      ['audience', (claims) => ({ ...claims, aud: ['gatehouse-web', 'another-client'] })],
      ['audience', (claims) => ({ ...claims, aud: ['gatehouse-web', 'gatehouse-web'] })],
      ['audience', (claims) => ({ ...claims, aud: [] })],
      ['audience', (claims) => ({ ...claims, azp: 'another-client' })],
      ['nonce', (claims) => ({ ...claims, nonce: 'another nonce' })],
      ['nonce', without('nonce')],
      ['access_token', (claims) => ({ ...claims, at_hash: 'of-another-token-aaaaa' })],
      ['access_token', (claims) => ({ ...claims, at_hash: 42 })],
      ['clock_skew', (claims) => ({ ...claims, exp: claims.iat! - day })],
      ['clock_skew', (claims) => ({ ...claims, exp: claims.iat! - 61 })],
      ['clock_skew', (claims) => ({ ...claims, iat: claims.iat! + 600, exp: claims.iat! + 900 })],
      ['clock_skew', (claims) => ({ ...claims, nbf: claims.iat! + 600 })],
      ['claims', without('exp')],
      ['claims', without('iat')],
      ['claims', without('sub')],
      ['claims', without('aud')],
      ['claims', without('iss')],
      ['claims', (claims) => ({ ...claims, exp: `${claims.exp}` as unknown as number })],
      ['subject', (claims) => ({ ...claims, sub: 42 as unknown as string })],
      ['subject', (claims) => ({ ...claims, sub: '' })],
      ['subject', (claims) => ({ ...claims, sub: 'x'.repeat(201) })],
    ];
    for (const [, alter] of spoilt) {
      provider.alter = alter;
      expect((await refusalOf(signIn())).reason, String(alter)).toBe('ID_TOKEN_INVALID');
    }
    expect(await causes(service)).toEqual(spoilt.map(([cause]) => `id_token_${cause}`));
    expect(await traces(service)).toEqual([]);
    provider.alter = (claims) => ({ ...claims, aud: ['gatehouse-web'], azp: 'gatehouse-web' });
    expect((await signIn()).userCreated).toBe(true);
  });

  test('an ID token that the provider has not signed is refused', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = oauthClient(service, provider, wire);
    const good = await provider.idToken(adaAtAcme);
    const [header, payload, signature] = good.split('.') as [string, string, string];
    const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url');
    const tokens = [
      await provider.idToken(adaAtAcme, strangersKey),
      await provider.idToken(adaAtAcme, undefined, { typ: 'at+jwt' }),
      await provider.idToken(adaAtAcme, undefined, { kid: 'unknown' }),
      `${encode({ alg: 'none' })}.${payload}.`,
      `${encode({ alg: 'HS256', kid: 'key-1' })}.${payload}.${signature}`,
      `${header}.${encode({ ...adaAtAcme, aud: 'gatehouse-web' })}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      'nonsense',
      'a.b.c',
      `${good}.${payload}.${signature}`,
    ];
    for (const idToken of tokens)
      expect((await refusalOf(auth.signInWithIdToken({ provider: 'acme', idToken }))).reason, idToken).toBe(
        'ID_TOKEN_INVALID',
      );
    expect(await traces(service)).toEqual([]);
    expect((await auth.signInWithIdToken({ provider: 'acme', idToken: good })).userCreated).toBe(true);
  });

  test('clocks that differ by 20 seconds do not matter', async () => {
    const { service, provider } = await startWithProvider();
    const { consent, auth, signIn } = oauthClient(service, provider, wire);
    for (const seconds of [20, -20]) {
      provider.now = () => service.now().getTime() + seconds * 1000;
      provider.alter = (claims) => ({ ...claims, nbf: claims.iat! });
      await signIn();
    }
    provider.alter = (claims) => ({ ...claims, exp: claims.iat! - 20 + 20 - 20 });
    provider.now = () => service.now().getTime();
    await signIn();
    provider.alter = (claims) => claims;
    const finishing = await consent();
    service.pass(20);
    await auth.finishOAuth(finishing);
  });

  test('a response of another provider than the one that was asked is refused', async () => {
    const { service, provider } = await startWithProvider();
    const { consent, auth, signIn } = oauthClient(service, provider, wire);
    const mixedUp = { ...(await consent()), iss: 'https://evil.example' };
    expect((await refusalOf(auth.finishOAuth(mixedUp))).reason).toBe('ID_TOKEN_INVALID');
    expect(
      provider.requests.filter(({ path }) => path === '/token'),
      'the code stays here',
    ).toEqual([]);
    expect(await signIn(adaAtAcme, {}, { iss: provider.url })).toMatchObject({ userCreated: true });
    expect(await causes(service)).toEqual(['id_token_response_issuer']);
  });

  test('a provider that announces the parameter iss has to send it', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn } = oauthClient(service, provider, wire);
    provider.metadata = { authorization_response_iss_parameter_supported: true };
    expect((await refusalOf(signIn())).reason).toBe('ID_TOKEN_INVALID');
    expect((await signIn(adaAtAcme, {}, { iss: provider.url })).userCreated).toBe(true);
  });

  test('a code that was not given for this sign-in is refused, and so is a made-up response', async () => {
    const { service, provider } = await startWithProvider();
    const { begin, consent, auth } = oauthClient(service, provider, wire);
    const mine = await consent();
    const others = await consent();
    const injected = await refusalOf(auth.finishOAuth({ ...mine, code: others.code }));
    expect(injected).toMatchObject({
      reason: 'OAUTH_PROVIDER_ERROR',
      metadata: { provider: 'acme', error: 'invalid_grant' },
    });
    const { authorizationUrl } = await begin();
    const state = new URL(authorizationUrl).searchParams.get('state')!;
    expect((await refusalOf(auth.finishOAuth({ state, code: 'made-up', clientNonce }))).reason).toBe(
      'OAUTH_PROVIDER_ERROR',
    );
    expect((await refusalOf(auth.finishOAuth({ state: 'made-up', code: 'made-up', clientNonce }))).reason).toBe(
      'OAUTH_STATE_INVALID',
    );
    expect(await traces(service)).toEqual([]);
  });

  test('an error of the provider is named, and nothing else that it says', async () => {
    const { service, provider } = await startWithProvider();
    const { begin, auth } = oauthClient(service, provider, wire);
    const finish = async (parameters: object) => {
      const { authorizationUrl } = await begin();
      const state = new URL(authorizationUrl).searchParams.get('state')!;
      return refusalOf(auth.finishOAuth({ state, clientNonce, ...parameters }));
    };
    expect((await finish({ error: 'access_denied' })).reason).toBe('ACCESS_DENIED');
    const metadata = { provider: 'acme', redirect_url: '' };
    expect(await finish({ error: 'server_error' })).toMatchObject({ metadata: { ...metadata, error: 'server_error' } });
    expect(await finish({ error: '<script>' })).toMatchObject({ metadata: { ...metadata, error: 'other' } });
    expect(await finish({})).toMatchObject({
      reason: 'OAUTH_PROVIDER_ERROR',
      metadata: { ...metadata, error: 'other' },
    });
  });
});

/** Responses of a provider that is slow, broken or hostile. */
const broken: Record<string, (provider: IdentityProvider, path: string) => void> = {
  'an error': ({ instead }, path) => instead.set(path, (_, res) => res.writeHead(500).end('{}')),
  'a response of 10 MB': ({ instead }, path) => instead.set(path, (_, res) => res.end(`"${'x'.repeat(10_000_000)}"`)),
  'a redirect to itself': ({ instead }, path) =>
    instead.set(path, (_, res) => res.writeHead(302, { location: path }).end()),
  'a redirect to a server inside': ({ instead }, path) =>
    instead.set(path, (_, res) => res.writeHead(307, { location: 'http://127.0.0.1/latest/meta-data' }).end()),
  'no JSON': ({ instead }, path) => instead.set(path, (_, res) => res.end('<html>')),
  'an empty object': ({ instead }, path) => instead.set(path, (_, res) => res.end('{}')),
  'a number': ({ instead }, path) => instead.set(path, (_, res) => res.end('7')),
};

test.each(Object.keys(broken))(
  'a provider that responds with %s is unavailable, and the next sign-in works',
  async (what) => {
    const { service, provider } = await startWithProvider();
    const { signIn, consent, auth } = oauthClient(service, provider);
    for (const path of ['/.well-known/openid-configuration', '/token', '/keys']) {
      const finishing = path.startsWith('/.') ? undefined : await consent();
      broken[what]!(provider, path);
      const refused = await refusalOf(finishing ? auth.finishOAuth(finishing) : signIn());
      expect(refused, path).toMatchObject({ reason: 'OAUTH_PROVIDER_UNAVAILABLE', metadata: { provider: 'acme' } });
      provider.instead.clear();
    }
    expect((await signIn()).userCreated).toBe(true);
  },
);

test('metadata of another issuer, or with an address that is no URL, is refused', async () => {
  const { service, provider } = await startWithProvider();
  const { begin } = oauthClient(service, provider);
  for (const metadata of [
    { issuer: 'https://evil.example' },
    { issuer: `${provider.url}/` },
    { token_endpoint: 'file:///etc/passwd' },
    { jwks_uri: undefined },
    { authorization_endpoint: 'javascript:alert(1)' },
    { userinfo_endpoint: 7 },
  ]) {
    provider.metadata = metadata;
    expect((await refusalOf(begin())).reason, JSON.stringify(metadata)).toBe('OAUTH_PROVIDER_UNAVAILABLE');
  }
  provider.metadata = {};
  await begin();
});

test('where private addresses are not allowed, no request goes to one', async () => {
  const env = { OAUTH_PRIVATE_ADDRESSES: 'off' };
  const { service, provider } = await startWithProvider({ env });
  const { begin } = oauthClient(service, provider);
  expect((await refusalOf(begin())).reason).toBe('OAUTH_PROVIDER_UNAVAILABLE');
  expect(provider.requests).toEqual([]);
  expect(service.ledger.lines.join('')).toContain('"fault":"refused_address"');
});

test('a provider that does not respond holds up nobody else', async () => {
  const { service, provider } = await startWithProvider({ env: { DATABASE_POOL_SIZE: '2' } }, (other) => ({
    slow: other.settings({ issuer: `${other.url}/slow` }),
  }));
  const { signIn, begin, auth } = oauthClient(service, provider);
  const keep = new AbortController();
  provider.instead.set('/slow/token', () => {});
  provider.metadata = {};
  provider.instead.set('/slow/.well-known/openid-configuration', (_, res) => {
    const at = (path: string) => `${provider.url}/${path}`;
    const endpoints = {
      authorization_endpoint: at('authorize'),
      token_endpoint: at('slow/token'),
      jwks_uri: at('keys'),
    };
    res.end(JSON.stringify({ issuer: at('slow'), ...endpoints }));
  });
  const waiting: Promise<unknown>[] = [];
  for (let count = 0; count < 12; count++) {
    const { authorizationUrl } = await begin({ provider: 'slow' });
    const finishing = { ...provider.consent(authorizationUrl, adaAtAcme), clientNonce };
    waiting.push(auth.finishOAuth(finishing, { signal: keep.signal }).catch((error: unknown) => error));
  }
  await sleep(200);
  const { authorizationUrl } = await begin({ provider: 'slow' });
  const startedAt = performance.now();
  const refused = await refusalOf(auth.finishOAuth({ ...provider.consent(authorizationUrl, adaAtAcme), clientNonce }));
  expect(refused).toMatchObject({ reason: 'OAUTH_PROVIDER_UNAVAILABLE', metadata: { provider: 'slow' } });
  expect((await signIn()).userCreated, 'another provider').toBe(true);
  expect(performance.now() - startedAt, 'neither waited').toBeLessThan(2000);
  keep.abort();
  await Promise.all(waiting);
});
