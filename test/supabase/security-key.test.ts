import type { JsonObject } from '@bufbuild/protobuf';
import type { GoTrueClient } from '@supabase/auth-js';
import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { type Deviation, SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { confirmed, shown, startSupabase } from '../support/supabase.ts';

const { email, password } = ada;
const site = { rpId: 'gatehouse.test', rpOrigins: ['http://gatehouse.test'] };

async function started() {
  const supabase = await startSupabase({ env: confirmed });
  const auth = supabase.client();
  await auth.signUp({ email, password });
  return { ...supabase, auth };
}

/** The JSON that the library has read the options from. */
function jsonOf(options: unknown): JsonObject {
  const encode = (value: unknown) => (value instanceof ArrayBuffer ? Buffer.from(value).toString('base64url') : value);
  return JSON.parse(JSON.stringify(options, (_, value) => encode(value))) as JsonObject;
}

/** Challenges the factor and verifies it with the authenticator, as the library's own ceremony does in a browser. */
async function verify(auth: GoTrueClient, factorId: string, device: SoftwareAuthenticator, deviation: Deviation = {}) {
  const { data, error } = await auth.mfa.challenge({ factorId, webauthn: site });
  if (error) throw error;
  const { type, credential_options } = data.webauthn;
  const options = jsonOf(credential_options.publicKey);
  const json = type === 'create' ? device.create(options, deviation) : device.get(options, deviation);
  const credential_response = { toJSON: () => json };
  const response = { type, ...site, credential_response };
  const verified = await auth.mfa.verify({ factorId, challengeId: data.id, webauthn: response } as never);
  return { type, options, ...verified };
}

async function enroll(auth: GoTrueClient, friendlyName = 'key') {
  const { data, error } = await auth.mfa.enroll({ factorType: 'webauthn', friendlyName });
  if (error) throw error;
  expect(data).toEqual({ id: expect.any(String), type: 'webauthn', friendly_name: friendlyName });
  return data.id;
}

test('a security key is created at its first verification, and asked for afterwards', async () => {
  const { auth, client } = await started();
  const device = new SoftwareAuthenticator();
  const factorId = await enroll(auth);
  const created = await verify(auth, factorId, device);
  expect([created.type, created.error]).toEqual(['create', null]);
  expect(created.options).toMatchObject({ rp: { id: 'gatehouse.test' }, user: { name: email } });
  expect(decodeJwt(created.data!.access_token)).toMatchObject({ aal: 'aal2' });
  expect((await auth.mfa.listFactors()).data!.webauthn).toMatchObject([{ id: factorId, status: 'verified' }]);
  const other = client();
  await other.signInWithPassword({ email, password });
  const asked = await verify(other, factorId, device);
  expect([asked.type, asked.error]).toEqual(['request', null]);
  expect(asked.options).toMatchObject({ rpId: 'gatehouse.test', allowCredentials: [{ id: device.ids[0] }] });
  expect((await other.mfa.getAuthenticatorAssuranceLevel()).data).toMatchObject({ currentLevel: 'aal2' });
});

test('a response of another site, a wrong signature, and a key that is registered already are refused', async () => {
  const { auth, client } = await started();
  const device = new SoftwareAuthenticator();
  const factorId = await enroll(auth);
  const failed = [422, 'mfa_verification_failed', 'Invalid WebAuthn response'];
  const elsewhere = await verify(auth, factorId, device, { clientData: { origin: 'https://evil.example' } });
  expect(shown(elsewhere.error)).toEqual(failed);
  expect((await verify(auth, factorId, device)).error).toBeNull();
  const other = client();
  await other.signInWithPassword({ email, password });
  expect(shown((await verify(other, factorId, device, { tamper: true })).error)).toEqual(failed);
  expect(decodeJwt((await other.getSession()).data.session!.access_token)).toMatchObject({ aal: 'aal1' });
  const second = await enroll(auth, 'the same');
  const credentialId = Buffer.from(device.ids.at(-1)!, 'base64url');
  const again = await verify(auth, second, new SoftwareAuthenticator(), { credentialId });
  expect(shown(again.error).slice(0, 2)).toEqual([422, 'mfa_verified_factor_exists']);
});
