import { expect, test } from 'vitest';
import { faultsOf, faulty, production, read } from '../support/config-fixtures.ts';

const partyOf = (env: Record<string, string>) => read({ ...production, ...env }).relyingParty;
const android = `android:apk-key-hash:${'x'.repeat(42)}-`;

test('passkeys are registered for the host of the pages unless another domain is set', () => {
  expect(partyOf({})).toEqual({ id: 'auth.example.com', name: 'auth.example.com', origins: [production.PUBLIC_URL] });
  const FRONTEND_URL = 'https://app.example.com/account';
  expect(partyOf({ FRONTEND_URL, APP_NAME: 'Example' })).toEqual({
    id: 'app.example.com',
    name: 'Example',
    origins: ['https://app.example.com'],
  });
  expect(partyOf({ FRONTEND_URL, WEBAUTHN_RP_ID: 'example.com' })).toMatchObject({
    id: 'example.com',
    origins: ['https://app.example.com', 'https://auth.example.com'],
  });
  const WEBAUTHN_ORIGINS = `https://auth.example.com,https://other.example.net,${android}`;
  expect(partyOf({ WEBAUTHN_ORIGINS }).origins).toEqual(WEBAUTHN_ORIGINS.split(','));
});

test.each([
  ['WEBAUTHN_RP_ID', 'https://example.com'],
  ['WEBAUTHN_RP_ID', 'example.com:443'],
  ['WEBAUTHN_RP_ID', 'Example.com'],
  ['WEBAUTHN_RP_ID', '.example.com'],
  ['WEBAUTHN_RP_ID', '127.0.0.1'],
  ['WEBAUTHN_RP_ID', 'example.org'],
  ['WEBAUTHN_RP_ID', 'ample.com'],
  ['WEBAUTHN_ORIGINS', 'http://auth.example.com'],
  ['WEBAUTHN_ORIGINS', 'https://auth.example.com/'],
  ['WEBAUTHN_ORIGINS', 'https://auth.example.com:443'],
  ['WEBAUTHN_ORIGINS', 'https://*.example.com'],
  ['WEBAUTHN_ORIGINS', 'auth.example.com'],
  ['WEBAUTHN_ORIGINS', 'android:apk-key-hash:short'],
  ['WEBAUTHN_ORIGINS', `${android}=`],
  ['WEBAUTHN_ORIGINS', 'https://auth.example.com,https://auth.example.com'],
  ['WEBAUTHN_ORIGINS', 'https://other.example.net'],
])('%s=%s is refused', (variable, value) => {
  expect(faulty({ ...production, [variable]: value })).toEqual([variable]);
});

test('a domain without pages is refused with the domain that has them', () => {
  const { message } = faultsOf({ ...production, WEBAUTHN_RP_ID: 'example.org' });
  expect(message).toContain('WEBAUTHN_RP_ID=auth.example.com');
  expect(read({ ...production, WEBAUTHN_RP_ID: 'example.org', WEBAUTHN_ORIGINS: android }).relyingParty.id).toBe(
    'example.org',
  );
});
