import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { mobileClientId } from '../../support/identity-provider.ts';
import { ada } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { wires } from '../../support/start.ts';
import { oauthClient, startWithProvider } from './oauth.ts';

const relay = 'x7k2@privaterelay.appleid.com';
const atApple = { sub: '001234.abc', email: relay, email_verified: 'true' };
const user = JSON.stringify({ name: { firstName: 'Ada', lastName: 'Lovelace' }, email: 'another@example.org' });
const apple = { provider: 'apple' };
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

describe.each(wires)('over %s', (wire) => {
  test('name and address of the first sign-in stay when later ones have none', async () => {
    const { service, provider } = await startWithProvider({}, (each) => ({ apple: each.settings() }));
    const { signIn } = oauthClient(service, provider, wire);
    await service.welcome({ ...ada, emailVerified: true });
    const first = await signIn(atApple, apple, { user });
    expect(first).toMatchObject({
      userCreated: true,
      user: { name: 'Ada Lovelace', email: relay, emailVerified: true },
      identity: { name: 'Ada Lovelace', email: relay },
    });
    for (const later of [{ sub: atApple.sub }, { ...atApple, email_verified: true }]) {
      const again = await signIn(later, apple);
      expect(again).toMatchObject({
        userCreated: false,
        user: { id: first.user!.id, name: 'Ada Lovelace', email: relay },
      });
      expect(again.identity).toMatchObject({ name: 'Ada Lovelace', email: relay, emailVerified: true });
    }
  });

  test.each(['', 'nonsense', '[]', '{"name": 7}', 'null'])(
    'the name %j in the form counts as no name',
    async (form) => {
      const { service, provider } = await startWithProvider({}, (each) => ({ apple: each.settings() }));
      const { user: created } = await oauthClient(service, provider, wire).signIn(atApple, apple, { user: form });
      expect(created!.name).toBe('');
    },
  );

  test('the page of Apple returns by a POST, and is asked for the name', async () => {
    const { service, provider } = await startWithProvider({}, (each) => ({ apple: each.settings() }));
    const { authorizationUrl } = await oauthClient(service, provider, wire).begin(apple);
    const { searchParams } = new URL(authorizationUrl);
    expect(Object.fromEntries(searchParams)).toMatchObject({ response_mode: 'form_post', scope: 'openid email name' });
  });

  test('the secret of the client is made when it is needed, so that it never expires unnoticed', async () => {
    const signer = { client_secret: undefined, team_id: 'TEAM', key_id: 'KEY', private_key: pem };
    const { service, provider } = await startWithProvider({}, (each) => ({ apple: each.settings(signer) }));
    const { signIn } = oauthClient(service, provider, wire);
    await signIn(atApple, apple);
    service.pass(200 * 86_400);
    provider.now = () => service.now().getTime();
    await signIn(atApple, apple);
    const secrets = provider.requests
      .filter(({ path }) => path === '/token')
      .map(
        ({ form, authorization }) =>
          form.get('client_secret') ?? decodeURIComponent(atob(authorization!.slice(6)).split(':')[1]!),
      );
    expect(secrets).toHaveLength(2);
    const currentDate = service.now();
    const { payload } = await jwtVerify(secrets[1]!, createPublicKey(privateKey), { currentDate });
    expect(payload).toMatchObject({ iss: 'TEAM', sub: 'gatehouse-web', aud: provider.url });
    expect(payload.exp! - payload.iat!).toBe(300);
    expect(decodeProtectedHeader(secrets[1]!)).toEqual({ alg: 'ES256', kid: 'KEY' });
  });

  test('a secret that has expired is named in the log, and nothing is sent to Apple', async () => {
    const expired = await new SignJWT({}).setProtectedHeader({ alg: 'ES256' }).setExpirationTime(1).sign(privateKey);
    const { service, provider } = await startWithProvider({}, (each) => ({
      apple: each.settings({ client_secret: expired }),
    }));
    const refused = await refusalOf(oauthClient(service, provider, wire).signIn(atApple, apple));
    expect(refused.reason).toBe('OAUTH_PROVIDER_UNAVAILABLE');
    expect(service.ledger.lines.join('')).toContain('"provider":"apple","fault":"the client secret has expired"');
    expect(provider.requests.map(({ path }) => path)).not.toContain('/token');
  });

  test('the tokens of every client id of a provider are accepted, and those of no other provider', async () => {
    const { service, provider } = await startWithProvider({}, (each) => ({
      google: each.settings({ other_client_ids: ['google-ios', 'google-android'] }),
      apple: each.settings({ client_id: 'apple-service', other_client_ids: [mobileClientId] }),
    }));
    const { auth } = service.clients(wire);
    const signIn = async (name: string, aud: string, more: object = {}) =>
      auth.signInWithIdToken({
        provider: name,
        idToken: await provider.idToken({ sub: 'ada', aud, email: ada.email, email_verified: true, ...more }),
      });
    const accepted = [
      await signIn('google', 'gatehouse-web'),
      await signIn('google', 'google-ios'),
      await signIn('google', 'gatehouse-web', { azp: 'google-android' }),
      await signIn('apple', 'apple-service'),
      await signIn('apple', mobileClientId),
    ];
    expect(new Set(accepted.map(({ user: each }) => each!.id)).size).toBe(1);
    expect(await service.database.query('select 1 from identities')).toHaveLength(2);
    const refusals = [
      signIn('google', 'unlisted'),
      signIn('apple', 'google-ios'),
      signIn('apple', 'gatehouse-web'),
      signIn('google', 'gatehouse-web', { azp: 'unlisted' }),
    ].map(refusalOf);
    for (const refused of await Promise.all(refusals)) expect(refused.reason).toBe('ID_TOKEN_INVALID');
  });
});
