import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { asUser, confirmed, shown, supabaseAdmin } from '../support/supabase.ts';
import { adaAtAcme, startSupabaseWithProvider } from '../support/supabase-providers.ts';

const { email, password } = ada;

test('metadata that no token has room for are refused with the limit, and the others stay', async () => {
  const { client, service, provider, request } = await startSupabaseWithProvider({ env: confirmed });
  const auth = client();
  const { data: signedUp } = await auth.signUp({ email, password, options: { data: { theme: 'dark' } } });
  const picture = `https://cdn.example.org/${'p'.repeat(1900)}`;
  for (let n = 0; n < 5; n++) {
    const token = await provider.idToken({ ...adaAtAcme, sub: `ada-${n}`, picture });
    expect((await auth.linkIdentity({ provider: 'custom:acme' as 'google', token })).error).toBeNull();
  }
  const tokens = async () => {
    const other = client();
    const { data, error } = await other.signInWithPassword({ email, password });
    expect(error).toBeNull();
    const refreshed = await other.refreshSession();
    expect(refreshed.error).toBeNull();
    return [data.session!.access_token, refreshed.data.session!.access_token];
  };
  for (const [size, isAccepted] of [
    [1, true],
    [4, true],
    [16, false],
    [100, false],
  ] as const) {
    const { data, error } = await auth.updateUser({ data: { profile: 'x'.repeat(size * 1000) } });
    if (isAccepted) expect([error, data.user!.user_metadata.profile.length]).toEqual([null, size * 1000]);
    else expect(shown(error)).toEqual([400, 'validation_failed', expect.stringMatching(/5,?000/)]);
    for (const token of await tokens()) {
      expect(token.length).toBeLessThan(8192);
      expect(decodeJwt(token)).not.toHaveProperty('identities');
      expect(JSON.stringify(decodeJwt(token))).not.toContain('cdn.example.org');
      const { user_metadata } = decodeJwt<{ user_metadata: Record<string, string> }>(token);
      expect([user_metadata.theme, user_metadata.profile!.length]).toEqual(['dark', Math.min(size, 4) * 1000]);
    }
  }
  const admin = supabaseAdmin(service);
  const refused = await admin.updateUserById(signedUp.user!.id, { app_metadata: { plan: 'x'.repeat(8000) } });
  expect(shown(refused.error)).toEqual([400, 'validation_failed', expect.stringMatching(/5,?000/)]);
  const { body } = await request('GET', '/user', { headers: asUser((await tokens())[0]!) });
  expect(body.identities).toHaveLength(6);
  expect(body.app_metadata).not.toHaveProperty('plan');
});
