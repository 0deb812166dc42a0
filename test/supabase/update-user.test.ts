import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { lastMail, mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { asUser, codeFor, confirmed, followLink, shown, startSupabase } from '../support/supabase.ts';

const { email, password } = ada;
const next = 'ada@example.com';

async function started(env: Record<string, string> = {}) {
  const supabase = await startSupabase({ env: { ...confirmed, SITE_URL: 'http://app.example.com', ...env } });
  const auth = supabase.client();
  const { data } = await auth.signUp({ email, password });
  return { ...supabase, auth, user: data.user!, session: data.session! };
}

describe('updateUser', () => {
  test('merges metadata, and null removes a key', async () => {
    const { auth } = await started();
    await auth.updateUser({ data: { theme: 'dark', plan: 'pro' } });
    const { data, error } = await auth.updateUser({ data: { plan: null, size: 2 } });
    expect(error).toBeNull();
    expect(data.user!.user_metadata).toEqual({ theme: 'dark', size: 2 });
  });

  test('sets a password, ends the other sessions and keeps this one', async () => {
    const { auth, client } = await started();
    const other = client();
    await other.signInWithPassword({ email, password });
    const { error } = await auth.updateUser({ password: 'quite another phrase' });
    expect(error).toBeNull();
    expect((await auth.getUser()).error).toBeNull();
    expect((await auth.refreshSession()).error).toBeNull();
    expect((await other.getUser()).error).not.toBeNull();
    expect((await client().signInWithPassword({ email, password: 'quite another phrase' })).error).toBeNull();
  });

  test('refuses the same password, a weak one, a telephone number and app_metadata', async () => {
    const { auth, request, session } = await started();
    expect(shown((await auth.updateUser({ password })).error)).toEqual([
      422,
      'same_password',
      'New password should be different from the old password.',
    ]);
    expect((await auth.updateUser({ password: 'x' })).error).toMatchObject({ name: 'AuthWeakPasswordError' });
    const headers = asUser(session.access_token);
    const phone = await request('PUT', '/user', { body: { phone: '+436601234' }, headers });
    expect([phone.status, phone.body.error_code]).toEqual([400, 'phone_provider_disabled']);
    const rights = await request('PUT', '/user', { body: { app_metadata: { role: 'admin' } }, headers });
    expect([rights.status, rights.body.error_code]).toEqual([403, 'not_admin']);
    expect((await request('PUT', '/user', { body: { password: 'x' } })).status).toBe(401);
  });

  test('needs a code by mail for a password long after the sign-in', async () => {
    const { auth, service, client, session } = await started();
    service.pass(23 * 3600);
    await auth.refreshSession(session);
    service.pass(2 * 3600);
    await auth.refreshSession();
    const newer = 'quite another phrase';
    const refused = await auth.updateUser({ password: newer });
    expect(shown(refused.error)).toEqual([400, 'reauthentication_needed', 'Password update requires reauthentication']);
    expect((await auth.reauthenticate()).error).toBeNull();
    const nonce = await codeFor(service, email);
    const wrong = nonce === '000000' ? '000001' : '000000';
    const invalid = await auth.updateUser({ password: newer, nonce: wrong });
    expect(shown(invalid.error)).toEqual([422, 'reauthentication_not_valid', 'Nonce has expired or is invalid']);
    expect((await auth.updateUser({ password: newer, nonce })).error).toBeNull();
    expect((await client().signInWithPassword({ email, password: newer })).error).toBeNull();
    const again = await auth.updateUser({ password: 'a third phrase', nonce });
    expect(again.error!.code).toBe('reauthentication_not_valid');
  });

  test('needs no code where SECURE_PASSWORD_CHANGE is off', async () => {
    const { auth, service, session } = await started({ SECURE_PASSWORD_CHANGE: 'off' });
    service.pass(25 * 3600);
    await auth.refreshSession(session);
    expect((await auth.updateUser({ password: 'quite another phrase' })).error).toBeNull();
  });
});

describe('a change of address', () => {
  test('is pending until both mailboxes confirm it, in either order', async () => {
    for (const order of [
      [email, next],
      [next, email],
    ]) {
      const { auth, service, client } = await started();
      const { data, error } = await auth.updateUser({ email: next });
      expect(error).toBeNull();
      expect(data.user).toMatchObject({ email, new_email: next });
      const first = await followLink(service, order[0]!);
      expect(first.fragment).toEqual({ message: expect.stringMatching(/^Confirmation link accepted/), sb: '' });
      expect((await auth.getUser()).data.user).toMatchObject({ email, new_email: next });
      const second = await followLink(service, order[1]!);
      expect(second.fragment).toMatchObject({ type: 'email_change', access_token: expect.any(String) });
      expect((await auth.getUser()).data.user).toMatchObject({ email: next });
      expect((await client().signInWithPassword({ email: next, password })).error).toBeNull();
      expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
      expect((await mailsTo(service, email)).map(({ subject }) => subject)).toHaveLength(2);
    }
  });

  test('is confirmed by codes as well', async () => {
    const { auth, service, client } = await started();
    await auth.updateUser({ email: next });
    const type = 'email_change';
    const first = await client().verifyOtp({ email: next, token: await codeFor(service, next), type });
    expect([first.error, first.data.session]).toEqual([null, null]);
    const token = await codeFor(service, email);
    const { data, error } = await client().verifyOtp({ email, token, type });
    expect([error, data.user!.email]).toEqual([null, next]);
  });

  test('counts the new mailbox once: confirming it twice does not replace the old one', async () => {
    const { auth, service } = await started();
    await auth.updateUser({ email: next });
    await followLink(service, next);
    expect((await followLink(service, next)).fragment.error_code).toBe('otp_expired');
    service.pass(120);
    await auth.updateUser({ email: 'eve@example.org' });
    await followLink(service, 'eve@example.org');
    expect((await auth.getUser()).data.user!.email).toBe(email);
  });

  test('is not completed by the native method', async () => {
    const { auth, service } = await started();
    await auth.updateUser({ email: next });
    const { token } = await lastMail(service, next);
    await expect(service.clients('json').auth.confirmEmailChange({ token })).rejects.toThrow();
    expect((await auth.getUser()).data.user!.email).toBe(email);
  });

  test('to a taken address is refused at once, and when it was taken meanwhile', async () => {
    const { auth, service } = await started();
    const { admin } = service.clients('json');
    await admin.createUser(bob, asService);
    expect(shown((await auth.updateUser({ email: bob.email })).error)).toEqual([
      422,
      'email_exists',
      'A user with this email address has already been registered',
    ]);
    await auth.updateUser({ email: next });
    await followLink(service, email);
    await admin.createUser({ email: next }, asService);
    const { fragment } = await followLink(service, next);
    expect(fragment.error_code).toBe('email_exists');
    expect((await auth.getUser()).data.user!.email).toBe(email);
  });

  test('is not repeated within a minute, and is sent again on request', async () => {
    const { auth, service } = await started();
    await auth.updateUser({ email: next });
    const { error } = await auth.updateUser({ email: next });
    expect([error!.status, error!.code]).toEqual([429, 'over_email_send_rate_limit']);
    expect(error!.message).toMatch(/^For security purposes, you can only request this after \d+ seconds\.$/);
    expect(await mailsTo(service, next)).toHaveLength(1);
    service.pass(120);
    for (const address of [email, bob.email])
      expect((await auth.resend({ type: 'email_change', email: address })).error).toBeNull();
    expect(await mailsTo(service, next)).toHaveLength(2);
    await followLink(service, next);
    expect((await followLink(service, email)).fragment.type).toBe('email_change');
  });

  test('of a user whose address is not confirmed needs the new mailbox only, and removes their password', async () => {
    const { client, service } = await startSupabase();
    const { auth: native } = service.clients('json');
    await native.register({ email, password });
    const { tokens } = await native.signIn({ email, password });
    const auth = client();
    await auth.setSession({ access_token: tokens!.accessToken, refresh_token: tokens!.refreshToken });
    await auth.updateUser({ email: next });
    expect((await followLink(service, next)).fragment.type).toBe('email_change');
    expect((await client().signInWithPassword({ email: next, password })).error!.code).toBe('invalid_credentials');
  });
});

describe('a guest', () => {
  test('becomes a user with an address at once where addresses are confirmed at once', async () => {
    const { client } = await startSupabase({ env: confirmed });
    const auth = client();
    const { data: guest } = await auth.signInAnonymously();
    const { data, error } = await auth.updateUser({ email, password });
    expect(error).toBeNull();
    expect(data.user).toMatchObject({ id: guest.user!.id, email, is_anonymous: false });
    const { data: refreshed } = await auth.refreshSession();
    expect(decodeJwt(refreshed.session!.access_token)).toMatchObject({ is_anonymous: false, email });
    expect((await client().signInWithPassword({ email, password })).data.user!.id).toBe(guest.user!.id);
  });

  test('becomes one by the mail otherwise, and may set a password from then on', async () => {
    const { client, service } = await startSupabase();
    const auth = client();
    const { data: guest } = await auth.signInAnonymously();
    const early = await auth.updateUser({ password });
    expect([early.error!.status, early.error!.code]).toEqual([422, 'validation_failed']);
    const { data } = await auth.updateUser({ email });
    expect(data.user).toMatchObject({ email: '', new_email: email, is_anonymous: true });
    const token = await codeFor(service, email);
    const verified = await client().verifyOtp({ email, token, type: 'email_change' });
    expect(verified.data.user).toMatchObject({ id: guest.user!.id, email, is_anonymous: false });
    expect((await auth.updateUser({ password })).error).toBeNull();
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
    expect(
      (await service.clients('json').accounts.listAccounts({}, await service.signIn().then(({ as }) => as))).accounts,
    ).toHaveLength(1);
  });

  test('does not take the address of a user', async () => {
    const { client, service } = await startSupabase({ env: confirmed });
    await service.clients('json').admin.createUser(ada, asService);
    const auth = client();
    await auth.signInAnonymously();
    expect((await auth.updateUser({ email })).error!.code).toBe('email_exists');
  });

  test('without an address cannot authenticate again', async () => {
    const { client } = await startSupabase();
    const auth = client();
    await auth.signInAnonymously();
    expect(shown((await auth.reauthenticate()).error)).toEqual([
      400,
      'validation_failed',
      'Reauthentication requires the user to have an email or a phone number',
    ]);
  });
});
