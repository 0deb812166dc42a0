import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { lastMail, mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { codeFor, followLink, open, shown, startSupabase } from '../support/supabase.ts';

const { email, password } = ada;
const site = 'http://app.example.com/';
const env = { SITE_URL: site, REDIRECT_URLS: 'http://app.example.com/**' };

describe('the confirmation of a sign-up', () => {
  test('by the link leads back to the site with a session', async () => {
    const { client, service } = await startSupabase({ env });
    const emailRedirectTo = 'http://app.example.com/welcome';
    const { data } = await client().signUp({ email, password, options: { emailRedirectTo, data: { plan: 'pro' } } });
    const { link } = await lastMail(service, email);
    expect(link).toContain('http://gatehouse.test/auth/v1/verify?token=');
    expect(link).toContain(`&type=signup&redirect_to=${emailRedirectTo}`);
    const { status, place, fragment } = await followLink(service, email);
    expect([status, place.origin + place.pathname]).toEqual([303, emailRedirectTo]);
    expect(fragment).toMatchObject({ token_type: 'bearer', expires_in: '3600', type: 'signup', sb: '' });
    const auth = client();
    const { access_token, refresh_token } = fragment as { access_token: string; refresh_token: string };
    const { data: set, error } = await auth.setSession({ access_token, refresh_token });
    expect(error).toBeNull();
    expect(set.user).toMatchObject({ id: data.user!.id, user_metadata: { plan: 'pro' } });
    expect(set.user!.email_confirmed_at).toBeTypeOf('string');
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
  });

  test('has a link that no mail program cuts off, whatever the place ends with', async () => {
    const { client, service } = await startSupabase({ env });
    const emailRedirectTo = 'http://app.example.com/(welcome)';
    await client().signUp({ email, password, options: { emailRedirectTo } });
    expect((await lastMail(service, email)).link).toMatch(/\(welcome%29$/);
    const { place } = await followLink(service, email);
    expect(place.origin + place.pathname).toBe(emailRedirectTo);
  });

  test('by the code opens a session, once', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signUp({ email, password });
    const token = await codeFor(service, email);
    const { data, error } = await client().verifyOtp({ email, token, type: 'signup' });
    expect(error).toBeNull();
    expect(decodeJwt(data.session!.access_token).amr).toMatchObject([{ method: 'otp' }]);
    const again = await client().verifyOtp({ email, token, type: 'signup' });
    expect(shown(again.error)).toEqual([403, 'otp_expired', 'Token has expired or is invalid']);
  });

  test('works with the type email as well', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signUp({ email, password });
    const { error } = await client().verifyOtp({ email, token: await codeFor(service, email), type: 'email' });
    expect(error).toBeNull();
  });

  test('leads to the site when the place is not allowed, and with an error when the link was used', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signUp({ email, password, options: { emailRedirectTo: 'https://evil.example/steal' } });
    const { link } = await lastMail(service, email);
    expect(link).not.toContain('evil');
    const forged = link.replace(/redirect_to=.*/, 'redirect_to=https://evil.example/');
    expect(`${(await open(service, forged)).place.origin}/`).toBe(site);
    const { status, place, fragment } = await open(service, link);
    expect([status, place.origin + place.pathname]).toEqual([303, site]);
    expect(fragment).toEqual({
      ...{ error: 'access_denied', error_code: 'otp_expired', sb: '' },
      error_description: 'Email link is invalid or has expired',
    });
  });

  test('fails for a link of another type, without a type, and without a token', async () => {
    const { client, service, request } = await startSupabase({ env });
    await client().signUp({ email, password });
    const { link } = await lastMail(service, email);
    for (const type of ['magiclink', 'recovery', 'invite', 'email_change'])
      expect((await open(service, link.replace('type=signup', `type=${type}`))).fragment.error_code).toBe(
        'otp_expired',
      );
    for (const query of ['', '?type=signup', '?token=x', '?type=toString&token=x'])
      expect((await request('GET', `/verify${query}`)).status).toBe(400);
    expect((await open(service, link)).fragment.access_token).toBeTypeOf('string');
  });

  test('is not done by HEAD', async () => {
    const { client, service, url } = await startSupabase({ env });
    await client().signUp({ email, password });
    const { link } = await lastMail(service, email);
    await fetch(url.replace('/auth/v1', '') + new URL(link).pathname + new URL(link).search, {
      method: 'HEAD',
      redirect: 'manual',
    });
    expect((await open(service, link)).fragment.access_token).toBeTypeOf('string');
  });

  test('by a native link opens no session here', async () => {
    const { service } = await startSupabase({ env });
    await service.clients('json').auth.register({ email, password });
    const { token } = await lastMail(service, email);
    const { fragment } = await open(service, `http://x/auth/v1/verify?type=signup&token=${token}`);
    expect(fragment.error_code).toBe('otp_expired');
  });
});

describe('signInWithOtp', () => {
  test('sends a known user a link and a code, which use each other up', async () => {
    const { client, service } = await startSupabase({ env });
    await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
    const { data, error } = await client().signInWithOtp({ email });
    expect([data, error]).toEqual([{ user: null, session: null, messageId: undefined }, null]);
    const token = await codeFor(service, email);
    const signedIn = await client().verifyOtp({ email, token, type: 'email' });
    expect(signedIn.data.user!.email).toBe(email);
    expect((await followLink(service, email)).fragment.error_code).toBe('otp_expired');
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
  });

  test('registers an unknown address, which the mail confirms', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signInWithOtp({ email, options: { data: { plan: 'pro' } } });
    const { data } = await client().verifyOtp({ email, token: await codeFor(service, email), type: 'email' });
    expect(data.user).toMatchObject({ user_metadata: { plan: 'pro' } });
    expect(data.user!.email_confirmed_at).toBeTypeOf('string');
  });

  test('registers nobody where the client or the service says so, and does not reveal it', async () => {
    const { client, service } = await startSupabase({ env });
    const options = { shouldCreateUser: false };
    expect((await client().signInWithOtp({ email, options })).error).toBeNull();
    expect(await mailsTo(service, email)).toEqual([]);
    const closed = await startSupabase({ env: { ...env, SIGN_UP: 'off' } });
    expect((await closed.client().signInWithOtp({ email })).error).toBeNull();
    expect(await mailsTo(closed.service, email)).toEqual([]);
  });

  test('sends one mail within a minute, and says nothing about it', async () => {
    const { client, service } = await startSupabase({ env });
    for (let i = 0; i < 3; i++) expect((await client().signInWithOtp({ email })).error).toBeNull();
    expect(await mailsTo(service, email)).toHaveLength(1);
  });

  test('removes what somebody else set before the owner of the address came', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signUp({ email, password, options: { data: { planted: true } } });
    service.pass(120);
    await client().signInWithOtp({ email });
    const { data } = await client().verifyOtp({ email, token: await codeFor(service, email), type: 'email' });
    expect(data.user!.user_metadata).toEqual({});
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
  });

  test('has codes that are refused after five wrong ones', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signInWithOtp({ email });
    const token = await codeFor(service, email);
    const wrong = token === '000000' ? '000001' : '000000';
    for (let i = 0; i < 5; i++) {
      const { error } = await client().verifyOtp({ email, token: wrong, type: 'email' });
      expect(shown(error)).toEqual([403, 'otp_expired', 'Token has expired or is invalid']);
    }
    expect((await client().verifyOtp({ email, token, type: 'email' })).error!.code).toBe('otp_expired');
    expect((await followLink(service, email)).fragment.access_token).toBeTypeOf('string');
  });

  test('has a code that expires after an hour', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signInWithOtp({ email: bob.email });
    await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
    await client().signInWithOtp({ email });
    const token = await codeFor(service, email);
    service.pass(3601);
    expect((await client().verifyOtp({ email, token, type: 'email' })).error!.code).toBe('otp_expired');
  });

  test.each([
    [{ email, phone: '+43660' }, 'validation_failed'],
    [{ email, channel: 'sms' }, 'validation_failed'],
    [{}, 'validation_failed'],
    [{ phone: 'abc' }, 'validation_failed'],
    [{ phone: '+436601234' }, 'phone_provider_disabled'],
    [{ email: 'not an address' }, 'validation_failed'],
    [{ email, code_challenge: 'x'.repeat(43) }, 'validation_failed'],
    [{ email, code_challenge: 'short', code_challenge_method: 's256' }, 'validation_failed'],
  ])('with %o is refused', async (body, code) => {
    const { request } = await startSupabase();
    const answer = await request('POST', '/otp', { body });
    expect([answer.status, answer.body.error_code]).toEqual([400, code]);
  });
});

describe('verifyOtp', () => {
  test('refuses what no mail has, and requests that are incomplete', async () => {
    const { client, request } = await startSupabase();
    const unknown = await client().verifyOtp({ email, token: '123456', type: 'email' });
    expect(shown(unknown.error)).toEqual([403, 'otp_expired', 'Token has expired or is invalid']);
    const hash = await client().verifyOtp({ token_hash: 'nonsense', type: 'recovery' });
    expect(shown(hash.error)).toEqual([403, 'otp_expired', 'Email link is invalid or has expired']);
    const phone = await client().verifyOtp({ phone: '+436601234', token: '123456', type: 'sms' });
    expect(shown(phone.error)).toEqual([403, 'otp_expired', 'Token has expired or is invalid']);
    const cases: [object, number][] = [
      [{ token: '1', email }, 400],
      [{ type: 'email', email }, 400],
      [{ type: 'email', email, token: '1', token_hash: '2' }, 400],
      [{ type: 'email', email, token_hash: '2' }, 400],
      [{ type: 'email', email: 'x', token: '1' }, 422],
      [{ type: 'sms', phone: 'x', token: '1' }, 400],
    ];
    for (const [body, status] of cases)
      expect([body, (await request('POST', '/verify', { body })).status]).toEqual([body, status]);
  });

  test('accepts the hash in a link', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signUp({ email, password });
    const { token } = await lastMail(service, email);
    const { data, error } = await client().verifyOtp({ token_hash: token, type: 'signup' });
    expect([error, data.user!.email]).toEqual([null, email]);
  });
});

describe('resend', () => {
  test('sends the confirmation again to a user who has not confirmed, and to nobody else', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signUp({ email, password });
    expect(await mailsTo(service, email)).toHaveLength(1);
    service.pass(120);
    for (const address of [email, bob.email])
      expect((await client().resend({ type: 'signup', email: address })).error).toBeNull();
    expect([await mailsTo(service, email), await mailsTo(service, bob.email)].map((each) => each.length)).toEqual([
      2, 0,
    ]);
    const { error } = await client().verifyOtp({ email, token: await codeFor(service, email), type: 'signup' });
    expect(error).toBeNull();
  });

  test('answers for a telephone number, and refuses another type', async () => {
    const { request } = await startSupabase();
    const phone = await request('POST', '/resend', { body: { type: 'phone_change', phone: '+436601234' } });
    expect([phone.status, phone.body]).toEqual([200, {}]);
    const { status, body } = await request('POST', '/resend', { body: { type: 'recovery', email } });
    expect([status, body.msg]).toEqual([400, 'Missing one of these types: signup, email_change, sms, phone_change']);
  });
});
