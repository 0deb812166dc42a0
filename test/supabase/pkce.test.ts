import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { lastMail } from '../support/inbox.ts';
import { ada } from '../support/people.ts';
import { codeFor, followLink, open, startSupabase } from '../support/supabase.ts';

const { email, password } = ada;
const site = 'http://app.example.com/';
const env = { SITE_URL: site, REDIRECT_URLS: 'http://app.example.com/**' };

describe('PKCE', () => {
  test('leads back with a code that the same browser exchanges once', async () => {
    const { client, service } = await startSupabase({ env });
    const auth = client({ flowType: 'pkce' });
    await auth.signUp({ email, password });
    const { link } = await lastMail(service, email);
    expect(link).toContain('token=pkce_');
    const { query, fragment } = await open(service, link);
    expect(fragment).toEqual({});
    const { data, error } = await auth.exchangeCodeForSession(query.code!);
    expect(error).toBeNull();
    expect(data.user!.email_confirmed_at).toBeTypeOf('string');
    expect(decodeJwt(data.session!.access_token).amr).toMatchObject([{ method: 'email/signup' }]);
    service.ledger.keepSecret(query.code!);
  });

  test('refuses another verifier without using the code up, a used code, and an old one', async () => {
    const { client, service, request } = await startSupabase({ env });
    const auth = client({ flowType: 'pkce' });
    await auth.signUp({ email, password });
    const { query } = await followLink(service, email);
    const verifier = JSON.parse([...auth.stored].find(([name]) => name.endsWith('code-verifier'))![1]).split('/')[0];
    const exchange = (auth_code: string, code_verifier: string) =>
      request('POST', '/token?grant_type=pkce', { body: { auth_code, code_verifier } });
    const wrong = await exchange(query.code!, 'x'.repeat(112));
    expect([wrong.status, wrong.body.error_code]).toEqual([400, 'bad_code_verifier']);
    const unknown = await exchange('00000000-0000-0000-0000-000000000000', verifier);
    expect([unknown.status, unknown.body.error_code]).toEqual([404, 'flow_state_not_found']);
    expect((await exchange('', verifier)).status).toBe(400);
    expect((await exchange(query.code!, verifier)).status).toBe(200);
    const used = await exchange(query.code!, verifier);
    expect([used.status, used.body.error_code]).toEqual([404, 'flow_state_not_found']);
    service.pass(120);
    await auth.signInWithOtp({ email });
    const later = await followLink(service, email);
    service.pass(301);
    const old = await exchange(later.query.code!, verifier);
    expect([old.status, old.body.error_code]).toEqual([422, 'flow_state_expired']);
  });

  test('shows an error in the query, too', async () => {
    const { service } = await startSupabase({ env });
    const { query, fragment } = await open(service, 'http://x/auth/v1/verify?type=signup&token=pkce_nonsense');
    expect([query.error_code, fragment.error_code]).toEqual(['otp_expired', 'otp_expired']);
  });

  test('gives a session at once for a code that is typed', async () => {
    const { client, service } = await startSupabase({ env });
    const auth = client({ flowType: 'pkce' });
    await auth.signInWithOtp({ email });
    const { data } = await auth.verifyOtp({ email, token: await codeFor(service, email), type: 'email' });
    expect(data.session).not.toBeNull();
  });
});
