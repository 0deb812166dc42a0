import { describe, expect, test } from 'vitest';
import { ada } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { wires } from '../../support/start.ts';
import { oauthClient, startWithProvider } from './oauth.ts';

const secondary = { email: 'other@example.org', primary: false, verified: true };
const github = (verified: unknown) => ({
  ...{ id: 4711, login: 'ada', name: 'Ada Lovelace', email: 'public@example.org' },
  emails: [secondary, { email: ada.email, primary: true, verified }],
});
const bitbucket = (is_confirmed: unknown) => ({
  ...{ uuid: '{6b1c}', username: 'ada', display_name: 'Ada Lovelace' },
  emails: { values: [{ email: ada.email, is_primary: true, is_confirmed }] },
});
const discord = (verified: unknown) => ({
  id: '80351110224678912',
  username: 'ada',
  global_name: 'Ada Lovelace',
  email: ada.email,
  verified,
});

const providers = [
  ['github', github, '4711'],
  ['bitbucket', bitbucket, '{6b1c}'],
  ['discord', discord, '80351110224678912'],
] as const;

describe.each(wires)('over %s', (wire) => {
  test.each(providers)('a user signs in with %s', async (name, claimsOf, subject) => {
    const { service, provider } = await startWithProvider({}, (each) => {
      const { emails, ...endpoints } = each.plainSettings().endpoints;
      return { [name]: each.plainSettings(name === 'discord' ? { endpoints } : {}) };
    });
    const { signIn } = oauthClient(service, provider, wire);
    const { user } = await service.welcome({ ...ada, emailVerified: true });
    for (const unverified of [false, undefined, 'true', 1])
      expect((await refusalOf(signIn(claimsOf(unverified), { provider: name }))).reason).toBe('IDENTITY_CONFLICT');
    const signedIn = await signIn(claimsOf(true), { provider: name });
    expect(signedIn).toMatchObject({
      user: { id: user.id },
      identity: { provider: name, subject, email: ada.email, username: 'ada', name: 'Ada Lovelace' },
    });
    const { form, authorization } = provider.requests.find(({ path }) => path === '/plain/token')!;
    expect(form.get('code_verifier')).toMatch(/^[\w-]{43}$/);
    expect(authorization?.startsWith('Basic ') ?? false, 'Bitbucket takes the secret in a header only').toBe(
      name === 'bitbucket',
    );
  });

  test('an error with the status 200, as GitHub sends it, is an error', async () => {
    const { service, provider } = await startWithProvider({}, (each) => ({ github: each.plainSettings() }));
    const { signIn } = oauthClient(service, provider, wire);
    provider.instead.set('/plain/token', (_, res) => res.end('{"error": "incorrect_client_credentials"}'));
    const refused = await refusalOf(signIn(github(true), { provider: 'github' }));
    expect(refused).toMatchObject({
      reason: 'OAUTH_PROVIDER_ERROR',
      metadata: { error: 'incorrect_client_credentials' },
    });
    expect(service.ledger.lines.join(''), 'for the operator').toContain('"fault":"incorrect_client_credentials"');
  });

  test('a user of an API without an id, and a response that names an issuer, are refused', async () => {
    const { service, provider } = await startWithProvider({}, (each) => ({ github: each.plainSettings() }));
    const { signIn } = oauthClient(service, provider, wire);
    for (const id of [undefined, null, '', 1.5, {}, [1]])
      expect((await refusalOf(signIn({ ...github(true), id }, { provider: 'github' }))).reason).toBe(
        'OAUTH_PROVIDER_UNAVAILABLE',
      );
    const mixedUp = await refusalOf(
      signIn(github(true), { provider: 'github' }, { iss: 'https://accounts.google.com' }),
    );
    expect(mixedUp.reason).toBe('ID_TOKEN_INVALID');
  });
});
