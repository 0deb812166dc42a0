import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { registerPasskey } from '../support/passkeys.ts';
import { ada, bob, serviceKey } from '../support/people.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer } from '../support/start.ts';
import { asUser, confirmed, shown, startSupabase, supabaseAdmin } from '../support/supabase.ts';
import { enrollTotp, useTotp } from '../support/supabase-factors.ts';

const { email, password } = ada;
const nobody = '019ac5d0-7d3e-7b41-9c55-000000000000';

async function started() {
  const supabase = await startSupabase({ env: confirmed });
  const auth = supabase.client();
  const { data } = await auth.signUp({ email, password });
  return { ...supabase, auth, userId: data.user!.id, admin: supabaseAdmin(supabase.service) };
}

const asBackend = asUser(serviceKey);

describe('admin.mfa', () => {
  test('lists the factors of a user, and removes one', async () => {
    const { admin, auth, service, userId } = await started();
    expect((await admin.mfa.listFactors({ userId })).data).toEqual({ factors: [] });
    const { factorId } = await useTotp(service, auth);
    const { factorId: second } = await enrollTotp(auth, 'tablet');
    const { data } = await admin.mfa.listFactors({ userId });
    expect(data!.factors).toMatchObject([
      { id: factorId, factor_type: 'totp', friendly_name: 'phone', status: 'verified' },
      { id: second, factor_type: 'totp', friendly_name: 'tablet', status: 'unverified' },
    ]);
    expect((await admin.getUserById(userId)).data.user!.factors).toEqual(data!.factors);
    const removed = await admin.mfa.deleteFactor({ userId, id: factorId });
    // The library nests the response once more than its types say.
    expect(removed).toMatchObject({ data: { data: { id: factorId }, error: null }, error: null });
    expect((await admin.mfa.listFactors({ userId })).data!.factors).toMatchObject([{ id: second }]);
    const { data: refreshed } = await auth.refreshSession();
    expect(decodeJwt(refreshed.session!.access_token)).toMatchObject({ aal: 'aal1' });
    expect((await auth.updateUser({ password: 'quite another phrase' })).error).toBeNull();
    const subjects = (await mailsTo(service, email)).map(({ subject }) => subject);
    expect(subjects).toContain('A second factor was removed');
  });

  test('gives a factor another name, which no other factor of the user has', async () => {
    const { auth, userId, request } = await started();
    const { factorId } = await enrollTotp(auth, 'phone');
    await enrollTotp(auth, 'tablet');
    const path = `/admin/users/${userId}/factors/${factorId}`;
    const rename = (friendly_name: string | null) =>
      request('PUT', path, { body: { friendly_name, phone: null }, headers: asBackend });
    expect((await rename('old phone')).body).toMatchObject({ id: factorId, friendly_name: 'old phone' });
    expect((await rename(null)).body).toMatchObject({ id: factorId, friendly_name: 'old phone' });
    const taken = await rename('tablet');
    expect([taken.status, taken.body.error_code]).toEqual([422, 'mfa_factor_name_conflict']);
    expect((await auth.mfa.listFactors()).data!.all[0]!.friendly_name).toBe('old phone');
  });

  test('is for backends and operators, and finds only factors of the user in the path', async () => {
    const { admin, auth, userId, request, client } = await started();
    const { factorId } = await enrollTotp(auth);
    const other = client();
    const { data } = await other.signUp({ email: bob.email, password: bob.password });
    const foreign = await admin.mfa.deleteFactor({ userId: data.user!.id, id: factorId });
    expect(shown(foreign.error)).toEqual([404, 'mfa_factor_not_found', 'Factor not found']);
    const unknown = await admin.mfa.listFactors({ userId: nobody });
    expect(shown(unknown.error)).toEqual([404, 'user_not_found', 'User not found']);
    const headers = asUser(data.session!.access_token);
    for (const [method, path] of [
      ['GET', `/admin/users/${userId}/factors`],
      ['PUT', `/admin/users/${userId}/factors/${factorId}`],
      ['DELETE', `/admin/users/${userId}/factors/${factorId}`],
      ['GET', `/admin/users/${userId}/passkeys`],
      ['DELETE', `/admin/users/${userId}/passkeys/${factorId}`],
    ] as const) {
      const refused = await request(method, path, { headers });
      expect([refused.status, refused.body.error_code]).toEqual([403, 'not_admin']);
      const malformed = await request(method, path.replace(userId, 'x'), { headers: asBackend });
      expect([malformed.status, malformed.body.error_code]).toEqual([404, 'validation_failed']);
    }
    for (const kind of ['factors', 'passkeys']) {
      const malformed = await request('DELETE', `/admin/users/${userId}/${kind}/x`, { headers: asBackend });
      expect([malformed.status, malformed.body.error_code]).toEqual([404, 'validation_failed']);
    }
    expect((await auth.mfa.listFactors()).data!.all).toHaveLength(1);
  });
});

test('admin.passkey lists and deletes the passkeys of a user, which are no factors', async () => {
  const { admin, auth, service, userId } = await started();
  const { data } = await auth.getSession();
  const device = new SoftwareAuthenticator();
  const as = bearer({ accessToken: data.session!.access_token });
  const { passkey } = await registerPasskey(service.clients('json'), as, device, { friendlyName: 'laptop' });
  const { factorId } = await enrollTotp(auth);
  const passkeyId = passkey!.id;
  const listed = await admin.passkey.listPasskeys({ userId });
  expect(listed.data).toEqual([{ id: passkeyId, friendly_name: 'laptop', created_at: expect.any(String) }]);
  expect((await admin.mfa.listFactors({ userId })).data!.factors).toMatchObject([{ id: factorId }]);
  expect((await admin.mfa.deleteFactor({ userId, id: passkeyId })).error!.code).toBe('mfa_factor_not_found');
  const crossed = await admin.passkey.deletePasskey({ userId, passkeyId: factorId });
  expect(shown(crossed.error).slice(0, 2)).toEqual([404, 'webauthn_credential_not_found']);
  expect(await admin.passkey.deletePasskey({ userId, passkeyId })).toEqual({ data: null, error: null });
  expect((await admin.passkey.listPasskeys({ userId })).data).toEqual([]);
});
