import type { JsonObject } from '@bufbuild/protobuf';
import type { GoTrueClient } from '@supabase/auth-js';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob } from '../support/people.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { asUser, confirmed, shown, startSupabase, supabaseAdmin } from '../support/supabase.ts';
import { useTotp } from '../support/supabase-factors.ts';

const { email, password } = ada;
const nobody = '019ac5d0-7d3e-7b41-9c55-000000000000';

async function started(env: Record<string, string> = {}) {
  const supabase = await startSupabase({ env: { ...confirmed, ...env } });
  const auth = supabase.client();
  const { data } = await auth.signUp({ email, password });
  return { ...supabase, auth, user: data.user!, session: data.session! };
}

type Credential = Parameters<GoTrueClient['passkey']['verifyRegistration']>[0]['credential'];

/** Registers a passkey of the authenticator. */
async function register(auth: GoTrueClient, device: SoftwareAuthenticator) {
  const { data } = await auth.passkey.startRegistration();
  const credential = device.create(data!.options as unknown as JsonObject) as unknown as Credential;
  return auth.passkey.verifyRegistration({ challengeId: data!.challenge_id, credential });
}

/** The options for a sign-in, and what the authenticator makes of them. */
async function sign(auth: GoTrueClient, device: SoftwareAuthenticator, deviation = {}) {
  const { data } = await auth.passkey.startAuthentication();
  const credential = device.get(data!.options as unknown as JsonObject, deviation) as unknown as Credential;
  return { challengeId: data!.challenge_id, credential };
}

describe('passkey registration', () => {
  test('takes the options of a browser, and lists, renames and deletes what was registered', async () => {
    const { auth, service } = await started();
    const { data: options, error } = await auth.passkey.startRegistration();
    expect(error).toBeNull();
    expect(options).toMatchObject({
      challenge_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      options: {
        rp: { id: 'gatehouse.test' },
        user: { name: email },
        attestation: 'none',
        authenticatorSelection: { residentKey: 'required' },
      },
    });
    expect(Math.abs(options!.expires_at - service.now().getTime() / 1000 - 300)).toBeLessThan(5);
    expect(options!.options.pubKeyCredParams.map(({ alg }) => alg)).toContain(-7);
    const device = new SoftwareAuthenticator();
    const registered = await register(auth, device);
    expect(registered).toEqual({ data: { id: expect.any(String), created_at: expect.any(String) }, error: null });
    const { id: passkeyId } = registered.data!;
    const renamed = await auth.passkey.update({ passkeyId, friendlyName: 'laptop' });
    expect(renamed.data).toEqual({ ...registered.data, friendly_name: 'laptop' });
    expect((await auth.passkey.list()).data).toEqual([renamed.data]);
    expect((await auth.mfa.listFactors()).data!.all).toEqual([]);
    expect(await auth.passkey.delete({ passkeyId })).toEqual({ data: null, error: null });
    expect((await auth.passkey.list()).data).toEqual([]);
    const refused = await auth.passkey.verifyAuthentication(await sign(auth, device));
    expect(shown(refused.error).slice(0, 2)).toEqual([400, 'webauthn_verification_failed']);
  });

  test('refuses a challenge that is unknown, used, expired or of another user, and a wrong response', async () => {
    const { auth, service, client } = await started();
    const begin = async (deviation = {}) => {
      const { data } = await auth.passkey.startRegistration();
      const device = new SoftwareAuthenticator();
      const credential = device.create(data!.options as unknown as JsonObject, deviation) as unknown as Credential;
      return { challengeId: data!.challenge_id, credential };
    };
    const codeOfRefusal = async (by: GoTrueClient, response: Awaited<ReturnType<typeof begin>>) =>
      shown((await by.passkey.verifyRegistration(response)).error).slice(0, 2);
    const notFound = [400, 'webauthn_challenge_not_found'];
    expect(await codeOfRefusal(auth, { ...(await begin()), challengeId: nobody })).toEqual(notFound);
    const thief = client();
    await thief.signUp({ email: bob.email, password: bob.password });
    expect(await codeOfRefusal(thief, await begin())).toEqual(notFound);
    const elsewhere = await begin({ clientData: { origin: 'https://evil.example' } });
    expect(await codeOfRefusal(auth, elsewhere)).toEqual([400, 'webauthn_verification_failed']);
    const unverified = await begin({ flip: 4 });
    expect(await codeOfRefusal(auth, unverified)).toEqual([400, 'webauthn_verification_failed']);
    const used = await begin();
    expect((await auth.passkey.verifyRegistration(used)).error).toBeNull();
    expect(await codeOfRefusal(auth, used)).toEqual(notFound);
    const old = await begin();
    service.pass(301);
    expect(await codeOfRefusal(auth, old)).toEqual([400, 'webauthn_challenge_expired']);
  });

  test('stops at ten, and needs the factor of a user who has one', async () => {
    const { auth, service, client } = await started();
    for (let n = 0; n < 10; n++) expect((await register(auth, new SoftwareAuthenticator())).error).toBeNull();
    service.pass(61);
    const eleventh = await auth.passkey.startRegistration();
    expect(shown(eleventh.error).slice(0, 2)).toEqual([422, 'too_many_passkeys']);
    await useTotp(service, auth);
    const other = client();
    await other.signInWithPassword({ email, password });
    const refused = await other.passkey.startRegistration();
    expect(shown(refused.error).slice(0, 2)).toEqual([403, 'insufficient_aal']);
  });

  test('is not for guests, and needs a session', async () => {
    const { client, request } = await startSupabase({ env: confirmed });
    const guest = client();
    await guest.signInAnonymously();
    expect(shown((await guest.passkey.startRegistration()).error).slice(0, 2)).toEqual([403, 'no_authorization']);
    for (const [method, path] of [
      ['POST', '/passkeys/registration/options'],
      ['POST', '/passkeys/registration/verify'],
      ['GET', '/passkeys'],
      ['PATCH', `/passkeys/${nobody}`],
      ['DELETE', `/passkeys/${nobody}`],
    ] as const) {
      const { status, body } = await request(method, path, { body: method === 'GET' ? undefined : {} });
      expect([status, body.error_code]).toEqual([401, 'no_authorization']);
    }
  });
});

describe('passkey sign-in', () => {
  test('opens a session without a password, once for each challenge', async () => {
    const { auth, client, user } = await started();
    const device = new SoftwareAuthenticator();
    await register(auth, device);
    const tab = client();
    const signed = await sign(tab, device);
    const { data, error } = await tab.passkey.verifyAuthentication(signed);
    expect(error).toBeNull();
    expect([data!.user!.id, data!.session!.token_type]).toEqual([user.id, 'bearer']);
    expect(decodeJwt(data!.session!.access_token)).toMatchObject({ aal: 'aal2', amr: [{ method: 'passkey' }] });
    expect((await tab.getUser()).data.user!.id).toBe(user.id);
    expect((await tab.refreshSession()).error).toBeNull();
    expect((await auth.passkey.list()).data).toMatchObject([{ last_used_at: expect.any(String) }]);
    const again = await client().passkey.verifyAuthentication(signed);
    expect(shown(again.error).slice(0, 2)).toEqual([400, 'webauthn_challenge_not_found']);
  });

  test('refuses a challenge of another ceremony, an expired one, a wrong signature and an unknown credential', async () => {
    const { auth, client, service } = await started();
    const device = new SoftwareAuthenticator();
    await register(auth, device);
    const tab = client();
    const codeOfRefusal = async (response: Awaited<ReturnType<typeof sign>>) =>
      shown((await tab.passkey.verifyAuthentication(response)).error).slice(0, 2);
    const other = await sign(tab, device);
    expect(await codeOfRefusal({ ...(await sign(tab, device)), challengeId: other.challengeId })).toEqual([
      ...[400, 'webauthn_challenge_not_found'],
    ]);
    const failed = [400, 'webauthn_verification_failed'];
    expect(await codeOfRefusal(await sign(tab, device, { tamper: true }))).toEqual(failed);
    expect(await codeOfRefusal(await sign(tab, device, { flip: 4 }))).toEqual(failed);
    expect(await codeOfRefusal(await sign(tab, device, { credentialId: Buffer.alloc(32) }))).toEqual(failed);
    const old = await sign(tab, device);
    service.pass(301);
    expect(await codeOfRefusal(old)).toEqual([400, 'webauthn_challenge_not_found']);
    expect((await tab.passkey.verifyAuthentication(await sign(tab, device))).error).toBeNull();
  });

  test('is refused to a banned user, and to one whose address is not confirmed where that is required', async () => {
    const { auth, client, user, service } = await started({ REQUIRE_VERIFIED_EMAIL: 'on' });
    const device = new SoftwareAuthenticator();
    await register(auth, device);
    const admin = supabaseAdmin(service);
    await admin.updateUserById(user.id, { email_confirm: false });
    const unconfirmed = await client().passkey.verifyAuthentication(await sign(client(), device));
    expect(shown(unconfirmed.error).slice(0, 2)).toEqual([403, 'email_not_confirmed']);
    await admin.updateUserById(user.id, { email_confirm: true, ban_duration: '1h' });
    const banned = await client().passkey.verifyAuthentication(await sign(client(), device));
    expect(shown(banned.error).slice(0, 2)).toEqual([403, 'user_banned']);
  });
});

describe('a passkey', () => {
  test('of another user is not found, and neither is one that does not exist', async () => {
    const { auth, client, request } = await started();
    const { data } = await register(auth, new SoftwareAuthenticator());
    const thief = client();
    const signedUp = await thief.signUp({ email: bob.email, password: bob.password });
    for (const passkeyId of [data!.id, nobody])
      for (const { error } of [
        await thief.passkey.update({ passkeyId, friendlyName: 'mine' }),
        await thief.passkey.delete({ passkeyId }),
      ])
        expect(shown(error).slice(0, 2)).toEqual([404, 'webauthn_credential_not_found']);
    const headers = asUser(signedUp.data.session!.access_token);
    const malformed = await request('DELETE', '/passkeys/x', { headers });
    expect([malformed.status, malformed.body.error_code]).toEqual([404, 'validation_failed']);
    const empty = await auth.passkey.update({ passkeyId: data!.id, friendlyName: '' });
    expect(shown(empty.error).slice(0, 2)).toEqual([400, 'validation_failed']);
    await register(auth, new SoftwareAuthenticator());
    await auth.passkey.update({ passkeyId: data!.id, friendlyName: 'laptop' });
    const other = (await auth.passkey.list()).data!.find(({ id }) => id !== data!.id)!;
    const taken = await auth.passkey.update({ passkeyId: other.id, friendlyName: 'laptop' });
    expect(shown(taken.error).slice(0, 2)).toEqual([422, 'mfa_factor_name_conflict']);
  });

  test('that is the only way to sign in stays', async () => {
    const { service, client } = await startSupabase({ env: { ...confirmed, MAIL_MODE: 'off' } });
    const { admin } = service.clients('json');
    await admin.createUser({ email, password, emailVerified: true }, asService);
    const auth = client();
    const signedIn = await auth.signInWithPassword({ email, password });
    const { data } = await register(auth, new SoftwareAuthenticator());
    await service.database.query(`update users set password_hash = null where id = '${signedIn.data.user!.id}'`);
    const { error } = await auth.passkey.delete({ passkeyId: data!.id });
    expect(shown(error).slice(0, 2)).toEqual([422, 'single_identity_not_deletable']);
  });
});
