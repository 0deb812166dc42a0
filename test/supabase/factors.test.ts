import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../support/authenticator.ts';
import { ada, bob } from '../support/people.ts';
import { asUser, confirmed, shown, startSupabase } from '../support/supabase.ts';
import { enrollTotp, useTotp, verifyTotp, wrongCodeOf } from '../support/supabase-factors.ts';

const { email, password } = ada;
const nobody = '019ac5d0-7d3e-7b41-9c55-000000000000';

async function started(env: Record<string, string> = {}) {
  const supabase = await startSupabase({ env: { ...confirmed, ...env } });
  const auth = supabase.client();
  const { data } = await auth.signUp({ email, password });
  const signedIn = async () => {
    const other = supabase.client();
    const { data, error } = await other.signInWithPassword({ email, password });
    if (error) throw error;
    return { other, session: data.session };
  };
  return { ...supabase, auth, session: data.session!, signedIn };
}

const levels = (token: string) => {
  const { aal, amr, session_id } = decodeJwt(token) as {
    aal: string;
    amr: { method: string }[];
    session_id: string;
  };
  return { aal, amr: amr.map(({ method }) => method), session_id };
};

describe('mfa.enroll', () => {
  test('returns the secret of an app as an image, a text and a URI, and changes nothing else', async () => {
    const { auth, signedIn } = await started();
    const { data, error } = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone', issuer: 'Example' });
    expect(error).toBeNull();
    expect(data).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      type: 'totp',
      friendly_name: 'phone',
      totp: {
        qr_code: expect.stringMatching(/^data:image\/svg\+xml;utf-8,<svg .*<\/svg>$/s),
        secret: expect.stringMatching(/^[A-Z2-7]{32}$/),
        uri: expect.stringMatching(/^otpauth:\/\/totp\/Example:ada%40example\.org\?issuer=Example&/),
      },
    });
    const listed = (await auth.mfa.listFactors()).data!;
    expect(listed.totp).toEqual([]);
    expect(listed.all).toEqual([
      {
        ...{ id: data!.id, factor_type: 'totp', friendly_name: 'phone', status: 'unverified' },
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    ]);
    const { other, session } = await signedIn();
    expect(levels(session.access_token).aal).toBe('aal1');
    expect((await other.mfa.getAuthenticatorAssuranceLevel()).data).toMatchObject({
      currentLevel: 'aal1',
      nextLevel: 'aal1',
    });
  });

  test('refuses an unknown type, telephones, a name that is taken, and an eleventh factor', async () => {
    const { auth, request, session } = await started();
    const headers = { ...asUser(session.access_token), 'x-supabase-api-version': '2024-01-01' };
    const refused = async (body: object) => {
      const { status, body: error } = await request('POST', '/factors', { body, headers });
      return [status, error.code, error.message];
    };
    const badType = [400, 'validation_failed', 'factor_type needs to be totp, phone, or webauthn'];
    expect(await refused({ factor_type: 'sms' })).toEqual(badType);
    expect(await refused({})).toEqual(badType);
    const phone = await auth.mfa.enroll({ factorType: 'phone', phone: '+436601234' });
    const isOff = [422, 'mfa_phone_enroll_not_enabled', 'MFA enroll is disabled for Phone'];
    expect(shown(phone.error)).toEqual(isOff);
    await enrollTotp(auth, 'phone');
    const taken = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' });
    expect(shown(taken.error).slice(0, 2)).toEqual([422, 'mfa_factor_name_conflict']);
    for (let n = 1; n < 10; n++) await enrollTotp(auth, `phone ${n}`);
    const eleventh = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'one more' });
    expect(shown(eleventh.error).slice(0, 2)).toEqual([422, 'too_many_enrolled_mfa_factors']);
  });

  test('forgets an app that was not verified within five minutes', async () => {
    const { auth, service } = await started();
    await enrollTotp(auth);
    service.pass(301);
    await enrollTotp(auth);
    expect((await auth.mfa.listFactors()).data!.all).toHaveLength(1);
  });
});

describe('mfa.challenge', () => {
  test('of an own factor, verified or not, opens a challenge for five minutes', async () => {
    const { auth, service } = await started();
    const { factorId, secret } = await enrollTotp(auth);
    for (const status of ['unverified', 'verified']) {
      const { data, error } = await auth.mfa.challenge({ factorId });
      expect(error, status).toBeNull();
      expect(data).toEqual({ id: expect.any(String), type: 'totp', expires_at: expect.any(Number) });
      expect(Math.abs(data!.expires_at - service.now().getTime() / 1000 - 300)).toBeLessThan(5);
      if (status === 'unverified') await verifyTotp(service, auth, { factorId, secret });
    }
  });
});

describe('mfa.verify', () => {
  test('raises the same session, and revokes the others of browsers', async () => {
    const { auth, service, session, signedIn, client } = await started();
    const { other } = await signedIn();
    const events: string[] = [];
    auth.onAuthStateChange((event) => void events.push(event));
    const { factorId, session: raised } = await useTotp(service, auth);
    const before = levels(session.access_token);
    expect(levels(raised.access_token)).toEqual({ ...before, aal: 'aal2', amr: ['totp', 'password'] });
    expect(raised.token_type).toBe('bearer');
    expect(events).toContain('MFA_CHALLENGE_VERIFIED');
    expect((await auth.mfa.getAuthenticatorAssuranceLevel()).data).toMatchObject({
      ...{ currentLevel: 'aal2', nextLevel: 'aal2' },
      currentAuthenticationMethods: [{ method: 'totp' }, { method: 'password' }],
    });
    const { totp } = (await auth.mfa.listFactors()).data!;
    expect(totp).toMatchObject([{ id: factorId, status: 'verified', factor_type: 'totp', friendly_name: 'phone' }]);
    const old = await client().refreshSession({ refresh_token: session.refresh_token });
    expect(old.error).toMatchObject({ status: 400, message: expect.stringMatching(/^Invalid Refresh Token/) });
    expect((await other.getUser()).error!.name).toBe('AuthSessionMissingError');
    const { data } = await auth.refreshSession();
    expect(levels(data.session!.access_token)).toMatchObject({ aal: 'aal2', session_id: before.session_id });
    const ended = await signedIn();
    expect(levels(ended.session.access_token).aal).toBe('aal1');
    expect((await ended.other.mfa.getAuthenticatorAssuranceLevel()).data).toMatchObject({
      currentLevel: 'aal1',
      nextLevel: 'aal2',
    });
  });

  test('refuses a wrong, a used and an empty code', async () => {
    const { auth, service } = await started();
    const { factorId, secret } = await enrollTotp(auth);
    const wrong = await auth.mfa.challengeAndVerify({ factorId, code: wrongCodeOf(secret, service.now()) });
    const invalid = [422, 'mfa_verification_failed', 'Invalid TOTP code entered'];
    expect(shown(wrong.error)).toEqual(invalid);
    const empty = await auth.mfa.challengeAndVerify({ factorId, code: '' });
    expect(shown(empty.error)).toEqual([400, 'validation_failed', 'Code needs to be non-empty']);
    const code = codeOf(secret, service.now());
    expect((await auth.mfa.challengeAndVerify({ factorId, code })).error).toBeNull();
    expect(shown((await auth.mfa.challengeAndVerify({ factorId, code })).error)).toEqual(invalid);
  });

  test('refuses a challenge that is unknown, used, expired, or of another factor or session', async () => {
    const { auth, service, signedIn } = await started();
    const { factorId, secret } = await enrollTotp(auth);
    const { factorId: otherId } = await enrollTotp(auth, 'tablet');
    const { other } = await signedIn();
    const begin = async (by = auth, id = factorId) => (await by.mfa.challenge({ factorId: id })).data!.id;
    const verify = async (challengeId: string) => {
      const { error } = await auth.mfa.verify({ factorId, challengeId, code: codeOf(secret, service.now()) });
      return error && shown(error).slice(0, 2);
    };
    const unknown = [422, 'mfa_factor_not_found'];
    expect(await verify(nobody)).toEqual(unknown);
    expect(await verify(await begin(auth, otherId))).toEqual(unknown);
    expect(await verify(await begin(other))).toEqual(unknown);
    expect(await verify('not-a-uuid')).toEqual([400, 'validation_failed']);
    const old = await begin();
    service.pass(301);
    expect(await verify(old)).toEqual([422, 'mfa_challenge_expired']);
    const used = await begin();
    expect(await verify(used)).toBeNull();
    expect(await verify(used)).toEqual([422, 'mfa_ip_address_mismatch']);
  });

  test('admits five codes of a challenge, and no sixth one that is right', async () => {
    const { auth, service } = await started();
    const { factorId, secret } = await enrollTotp(auth);
    const challengeId = (await auth.mfa.challenge({ factorId })).data!.id;
    const verify = async (code: string) =>
      shown((await auth.mfa.verify({ factorId, challengeId, code })).error).slice(0, 2);
    for (let n = 0; n < 5; n++)
      expect(await verify(wrongCodeOf(secret, service.now()))).toEqual([422, 'mfa_verification_failed']);
    expect(await verify(codeOf(secret, service.now()))).toEqual([422, 'mfa_challenge_expired']);
  });

  test('refuses codes of a factor for a while after five wrong ones, and a sixteenth challenge in a minute', async () => {
    const { auth, service } = await started({ LIMITS: '' });
    const { factorId, secret } = await enrollTotp(auth);
    const verify = async (code: string) => {
      const { error } = await auth.mfa.challengeAndVerify({ factorId, code });
      return shown(error).slice(0, 2);
    };
    for (let n = 0; n < 5; n++)
      expect(await verify(wrongCodeOf(secret, service.now()))).toEqual([422, 'mfa_verification_failed']);
    const limited = [429, 'over_request_rate_limit', 'Request rate limit reached'];
    expect(await verify(codeOf(secret, service.now()))).toEqual(limited.slice(0, 2));
    for (let n = 6; n < 15; n++) expect((await auth.mfa.challenge({ factorId })).error).toBeNull();
    expect(shown((await auth.mfa.challenge({ factorId })).error)).toEqual(limited);
  });
});

describe('a factor', () => {
  test('of another user is the same as one that does not exist', async () => {
    const { auth, service, client } = await started();
    const { factorId, secret } = await useTotp(service, auth);
    const thief = client();
    await thief.signUp({ email: bob.email, password: bob.password });
    for (const id of [factorId, nobody]) {
      const refusals = [
        await thief.mfa.challenge({ factorId: id }),
        await thief.mfa.verify({ factorId: id, challengeId: nobody, code: codeOf(secret, service.now()) }),
        await thief.mfa.unenroll({ factorId: id }),
      ];
      for (const { error } of refusals) expect(shown(error)).toEqual([403, 'mfa_factor_not_found', 'Factor not found']);
    }
    expect((await auth.mfa.listFactors()).data!.totp).toHaveLength(1);
  });

  test('needs a session, which is looked at before the id', async () => {
    const { client, auth, request } = await started();
    for (const [method, path] of [
      ['POST', '/factors'],
      ['POST', '/factors/x/challenge'],
      ['POST', '/factors/x/verify'],
      ['DELETE', '/factors/x'],
    ] as const) {
      const without = await request(method, path, { body: { factor_type: 'totp', code: '123456' } });
      expect([without.status, without.body.error_code]).toEqual([401, 'no_authorization']);
    }
    for (const { error } of [
      await client().mfa.challenge({ factorId: 'x' }),
      await client().mfa.unenroll({ factorId: 'x' }),
    ])
      expect(shown(error).slice(0, 2)).toEqual([403, 'bad_jwt']);
    for (const { error } of [
      await auth.mfa.challenge({ factorId: 'x' }),
      await auth.mfa.unenroll({ factorId: 'x' }),
      await auth.mfa.verify({ factorId: 'x', challengeId: nobody, code: '123456' }),
    ])
      expect(shown(error)).toEqual([404, 'validation_failed', 'factor_id must be an UUID']);
  });

  test('is not for guests', async () => {
    const { client } = await startSupabase({ env: confirmed });
    const guest = client();
    await guest.signInAnonymously();
    const { error } = await guest.mfa.enroll({ factorType: 'totp' });
    expect(shown(error).slice(0, 2)).toEqual([403, 'no_authorization']);
  });
});

describe('mfa.unenroll', () => {
  test('removes the factor, and the session falls to aal1', async () => {
    const { auth, service } = await started();
    const { factorId, session } = await useTotp(service, auth);
    const { data, error } = await auth.mfa.unenroll({ factorId });
    expect([data, error]).toEqual([{ id: factorId }, null]);
    const { data: refreshed } = await auth.refreshSession();
    expect(levels(refreshed.session!.access_token)).toMatchObject({
      aal: 'aal1',
      session_id: levels(session.access_token).session_id,
    });
    expect(refreshed.user).not.toHaveProperty('factors');
    expect((await auth.mfa.getAuthenticatorAssuranceLevel()).data).toMatchObject({ nextLevel: 'aal1' });
  });

  test('at aal1 is refused, like another enrolment, until the factor is verified', async () => {
    const { auth, service, signedIn } = await started();
    const factor = await useTotp(service, auth);
    const { other } = await signedIn();
    const { factorId } = factor;
    expect(shown((await other.mfa.unenroll({ factorId })).error)).toEqual([
      ...[422, 'insufficient_aal'],
      'AAL2 required to unenroll verified factor',
    ]);
    expect(shown((await other.mfa.enroll({ factorType: 'totp', friendlyName: 'b' })).error)).toEqual([
      ...[403, 'insufficient_aal'],
      'AAL2 required to enroll a new factor',
    ]);
    service.pass(30);
    await verifyTotp(service, other, factor);
    await enrollTotp(other, 'tablet');
    expect((await other.mfa.unenroll({ factorId })).error).toBeNull();
  });
});
