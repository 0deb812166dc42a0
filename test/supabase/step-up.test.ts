import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { ada } from '../support/people.ts';
import { asUser, codeFor, confirmed, followLink, shown, startSupabase } from '../support/supabase.ts';
import { useTotp, verifyTotp } from '../support/supabase-factors.ts';

const { email, password } = ada;
const newer = 'quite another phrase';
const insufficient = [
  ...[401, 'insufficient_aal'],
  'AAL2 session is required to update email or password when MFA is enabled.',
];

/** Ada with an authenticator app, and a later session of hers at AAL1. */
async function started(env: Record<string, string> = {}) {
  const supabase = await startSupabase({ env: { ...confirmed, SITE_URL: 'http://app.example.com', ...env } });
  const owner = supabase.client();
  await owner.signUp({ email, password });
  const factor = await useTotp(supabase.service, owner);
  const auth = supabase.client();
  const { data } = await auth.signInWithPassword({ email, password });
  supabase.service.pass(30);
  return { ...supabase, owner, auth, factor, session: data.session! };
}

const aalOf = (token: string) => (decodeJwt(token) as { aal: string }).aal;

describe('updateUser of a user with a factor', () => {
  test('at aal1 changes metadata only, and neither password nor address', async () => {
    const { auth, service, factor, client } = await started();
    expect(shown((await auth.updateUser({ password: newer })).error)).toEqual(insufficient);
    expect(shown((await auth.updateUser({ email: 'ada@example.com' })).error)).toEqual(insufficient);
    expect(shown((await auth.updateUser({ password: newer, data: { a: 1 } })).error)).toEqual(insufficient);
    expect((await auth.getUser()).data.user).toMatchObject({ user_metadata: {}, email });
    expect((await auth.getUser()).data.user).not.toHaveProperty('new_email');
    expect(await mailsTo(service, 'ada@example.com')).toEqual([]);
    expect((await auth.updateUser({ data: { theme: 'dark' } })).error).toBeNull();
    await verifyTotp(service, auth, factor);
    expect((await auth.updateUser({ email: 'ada@example.com' })).data.user!.new_email).toBe('ada@example.com');
    expect((await auth.updateUser({ password: newer })).error).toBeNull();
    expect((await client().signInWithPassword({ email, password: newer })).error).toBeNull();
  });

  test('at aal1 does not reveal whether an address is registered', async () => {
    const { auth, client } = await started();
    await client().signUp({ email: 'bob@example.org', password });
    expect(shown((await auth.updateUser({ email: 'bob@example.org' })).error)).toEqual(insufficient);
  });
});

describe('a recovery of a user with a factor', () => {
  test.each(['link', 'code'])(
    'by %s opens a session at aal1, in which the factor comes before the password',
    async (by) => {
      const { client, service, factor } = await started();
      const auth = client();
      await auth.resetPasswordForEmail(email);
      if (by === 'link') {
        const { fragment } = await followLink(service, email);
        await auth.setSession(fragment as { access_token: string; refresh_token: string });
      } else await auth.verifyOtp({ email, token: await codeFor(service, email), type: 'recovery' });
      const { session } = (await auth.getSession()).data;
      expect(decodeJwt(session!.access_token)).toMatchObject({ aal: 'aal1', amr: [{ method: 'recovery' }] });
      expect((await auth.mfa.getAuthenticatorAssuranceLevel()).data).toMatchObject({ nextLevel: 'aal2' });
      expect(shown((await auth.updateUser({ password: newer })).error)).toEqual(insufficient);
      expect((await client().signInWithPassword({ email, password })).error).toBeNull();
      await verifyTotp(service, auth, factor);
      expect((await auth.updateUser({ password: newer })).error).toBeNull();
      expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
      expect((await client().signInWithPassword({ email, password: newer })).error).toBeNull();
    },
  );

  test('with the new password beside the code is refused, and keeps the code', async () => {
    for (const RECOVERY_REQUIRES_PASSWORD of ['off', 'on']) {
      const { client, service, request } = await started({ RECOVERY_REQUIRES_PASSWORD });
      await client().resetPasswordForEmail(email);
      const body = { type: 'recovery', email, token: await codeFor(service, email) };
      const { status, body: error } = await request('POST', '/verify', { body: { ...body, password: newer } });
      expect([status, error.error_code]).toEqual([403, 'insufficient_aal']);
      expect((await client().signInWithPassword({ email, password })).error).toBeNull();
      expect((await request('POST', '/verify', { body })).status).toBe(200);
    }
  });
});

describe('an unmodified client', () => {
  test('that refreshes after the factor was verified keeps aal2', async () => {
    const { auth, service, factor } = await started();
    const before = await verifyTotp(service, auth, factor);
    for (let time = 0; time < 3; time++) {
      const { data } = await auth.refreshSession();
      expect(aalOf(data.session!.access_token)).toBe('aal2');
      expect(decodeJwt(data.session!.access_token).session_id).toBe(decodeJwt(before.access_token).session_id);
    }
  });

  test('that signs out of the other devices leaves the session at aal2', async () => {
    const { auth, owner, service, factor, client } = await started();
    await verifyTotp(service, auth, factor);
    const late = client();
    await late.signInWithPassword({ email, password });
    await auth.signOut({ scope: 'others' });
    for (const other of [owner, late]) expect((await other.getUser()).error).not.toBeNull();
    expect(aalOf((await auth.refreshSession()).data.session!.access_token)).toBe('aal2');
    expect((await auth.getUser()).error).toBeNull();
  });
});

describe('a user who must have a factor', () => {
  const everyone = { ...confirmed, MFA_REQUIRED_FOR: 'everyone' };

  test('signs in, enrols one, and is refused everything else until it is verified', async () => {
    const { client, service, request } = await startSupabase({ env: everyone });
    const auth = client();
    const { data, error } = await auth.signUp({ email, password });
    expect(error).toBeNull();
    const headers = { ...asUser(data.session!.access_token), 'x-supabase-api-version': '2024-01-01' };
    expect((await auth.getUser()).data.user!.email).toBe(email);
    expect((await auth.refreshSession()).error).toBeNull();
    const listed = await request('GET', '/sessions', { headers });
    expect([listed.status, listed.body]).toEqual([
      403,
      { code: 'insufficient_aal', message: 'AAL2 session is required' },
    ]);
    expect(shown((await auth.updateUser({ data: { theme: 'dark' } })).error)).toEqual(insufficient);
    expect(shown((await auth.updateUser({ password: newer })).error)).toEqual(insufficient);
    const { session } = await useTotp(service, auth);
    expect(aalOf(session.access_token)).toBe('aal2');
    expect((await request('GET', '/sessions', { headers: asUser(session.access_token) })).status).toBe(200);
    expect((await auth.updateUser({ password: newer })).error).toBeNull();
  });

  test('and has one is refused at aal1, and may sign out', async () => {
    const { client, service } = await startSupabase({ env: everyone });
    const owner = client();
    await owner.signUp({ email, password });
    const factor = await useTotp(service, owner);
    const auth = client();
    await auth.signInWithPassword({ email, password });
    expect(shown((await auth.updateUser({ password: newer })).error)).toEqual(insufficient);
    expect((await auth.mfa.getAuthenticatorAssuranceLevel()).data).toMatchObject({ nextLevel: 'aal2' });
    expect((await auth.signOut({ scope: 'local' })).error).toBeNull();
    await auth.signInWithPassword({ email, password });
    service.pass(30);
    await verifyTotp(service, auth, factor);
    expect((await auth.updateUser({ password: newer })).error).toBeNull();
  });
});
