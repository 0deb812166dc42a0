import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { faultsOf, faulty, production, read, writeSecret } from '../support/config-fixtures.ts';

const google = { client_id: 'id', client_secret: 'secret-value' };
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

const providers = (json: object) => ({ OAUTH_PROVIDERS: JSON.stringify(json) });

function complaintsOf(json: object): string {
  const [fault] = faultsOf(providers(json)).faults;
  expect(fault!.found, 'a fault repeats no secret').not.toMatch(/secret-value|BEGIN/);
  expect(fault!.allowed).toContain('docs/oauth-providers.md');
  return fault!.found.replace(/^a value of \d+ characters: /, '');
}

test('each provider has what it gave for this service, in the order of the setting', () => {
  const apple = { client_id: 'id', team_id: 'TEAM', key_id: 'KEY', private_key: pem };
  const acme = { issuer: 'https://login.acme.test', client_id: 'id', label: 'Acme', trusts_email: false };
  const { oauthProviders } = read(providers({ google: { ...google, other_client_ids: ['ios'] }, apple, acme }));
  expect(oauthProviders).toMatchObject([
    { name: 'google', clientId: 'id', clientIds: ['id', 'ios'], clientSecret: 'secret-value', trustsEmail: true },
    { name: 'apple', signer: { teamId: 'TEAM', keyId: 'KEY', privateKey: pem } },
    { name: 'acme', issuer: 'https://login.acme.test', label: 'Acme', trustsEmail: false },
  ]);
  expect(read({}).oauthProviders).toEqual([]);
  const file = writeSecret(JSON.stringify({ google }));
  expect(read({ OAUTH_PROVIDERS_FILE: file }).oauthProviders).toHaveLength(1);
});

test.each<[json: object, complaint: string]>([
  [{ google: {} }, 'google: client_id: is missing'],
  [{ google: { client_id: 'id' } }, 'google: client_secret: is missing'],
  [{ google: { ...google, clientSecret: 'x' } }, 'google: unknown: clientSecret'],
  [{ google: 'id' }, 'google: is not an object'],
  [{ google: { ...google, client_id: 'two words' } }, 'google: client_id: has spaces or characters outside ASCII'],
  [{ google: { ...google, other_client_ids: 'ios' } }, 'google: other_client_ids: is no list'],
  [{ google: { ...google, tenant: 'common' } }, 'google: tenant: only microsoft has it'],
  [{ microsoft: { ...google, tenant: 'acme' } }, 'microsoft: tenant: is no tenant'],
  [{ apple: { client_id: 'id' } }, 'apple: client_secret: is missing, or team_id, key_id and private_key'],
  [
    { apple: { client_id: 'id', team_id: 'T', private_key: pem } },
    'apple: team_id, key_id and private_key: only together',
  ],
  [{ apple: { ...google, private_key: 'x' } }, 'apple: private_key: holds no private key in PEM'],
  [{ acme: google }, 'acme: issuer: is missing'],
  [
    { acme: { ...google, issuer: 'login.acme.test' } },
    'acme: issuer: is not an http or https URL without user, query and fragment',
  ],
  [
    { github: { ...google, issuer: 'https://github.test' } },
    'github: issuer: this provider has none, set endpoints instead',
  ],
  [
    {
      gitlab: {
        ...google,
        endpoints: { authorization: 'https://a.test', token: 'https://a.test', user: 'https://a.test' },
      },
    },
    'gitlab: endpoints: they follow from the issuer',
  ],
  [{ 'Acme Inc': google }, 'the name of provider 1 is not 1 to 32 of a-z, 0-9, _ and -, a letter first'],
  [{ google: {}, acme: google }, 'google: client_id: is missing; acme: issuer: is missing'],
])('%j is refused', (json, complaint) => {
  expect(complaintsOf(json)).toBe(complaint);
});

test.each(['', '[]', 'google', '"google"', 'null', '{'])('the text %j is no list of providers', (text) => {
  if (text === '') expect(read({ OAUTH_PROVIDERS: text }).oauthProviders).toEqual([]);
  else expect(faultsOf({ OAUTH_PROVIDERS: text }).faults[0]!.found).toContain('not a JSON object');
});

test('production requires TLS, and refuses private addresses unless they are allowed', () => {
  const plain = providers({ acme: { ...google, issuer: 'http://login.acme.test' } });
  expect(faulty({ ...production, ...plain })).toEqual(['OAUTH_PROVIDERS']);
  expect(read(plain).outbound).toEqual({ allowsPrivate: true, allowsPlainText: true });
  expect(read(production).outbound).toEqual({ allowsPrivate: false, allowsPlainText: false });
  const allowed = read({ ...production, OAUTH_PRIVATE_ADDRESSES: 'on' });
  expect(allowed.outbound).toEqual({ allowsPrivate: true, allowsPlainText: false });
});
