import { describe, expect, test } from 'vitest';
import { lastMail, mailsTo } from '../support/inbox.ts';
import { ada, bob } from '../support/people.ts';
import type { StartOptions } from '../support/start.ts';
import { codeFor, followLink, open, shown, startSupabase, supabaseAdmin } from '../support/supabase.ts';

const { email, password } = ada;

async function started(env: Record<string, string> = {}, options: StartOptions = {}) {
  const supabase = await startSupabase({ env, ...options });
  return { ...supabase, admin: supabaseAdmin(supabase.service) };
}

describe('admin.inviteUserByEmail', () => {
  test('sends a mail whose link signs the invited user in, who then sets a password', async () => {
    const { admin, service, client } = await started({ SITE_URL: 'http://app.example.com', SIGN_UP: 'off' });
    const { data, error } = await admin.inviteUserByEmail(email, { data: { team: 'a' } });
    expect(error).toBeNull();
    expect(data.user).toMatchObject({ email, user_metadata: { team: 'a' }, invited_at: expect.any(String) });
    const { link } = await lastMail(service, email);
    expect(link).toContain('&type=invite&');
    const { fragment } = await open(service, link);
    const auth = client();
    const { data: set } = await auth.setSession(fragment as { access_token: string; refresh_token: string });
    expect(set.user).toMatchObject({ id: data.user!.id, user_metadata: { team: 'a' } });
    await auth.updateUser({ password });
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
    expect((await admin.inviteUserByEmail(email)).error!.code).toBe('email_exists');
    expect((await admin.inviteUserByEmail('not an address')).error!.status).toBe(400);
  });

  test('of a registered address that nobody confirmed removes its password', async () => {
    const { admin, service, client } = await started();
    await client().signUp({ email, password, options: { data: { planted: true } } });
    expect((await admin.inviteUserByEmail(email)).error).toBeNull();
    const { data } = await client().verifyOtp({ email, token: await codeFor(service, email), type: 'invite' });
    expect(data.user!.user_metadata).toEqual({});
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('invalid_credentials');
  });
});

describe('admin.generateLink', () => {
  const redirectTo = 'http://localhost:9999/welcome';
  const env = { SITE_URL: 'http://localhost:3000' };

  test('returns the link of a sign-up, the hash and the code, and sends no mail', async () => {
    const { admin, service, client } = await started(env);
    const { data, error } = await admin.generateLink({
      ...{ type: 'signup', email, password },
      options: { data: { status: 'alpha' }, redirectTo },
    });
    expect(error).toBeNull();
    expect(data.user).toMatchObject({ email, user_metadata: { status: 'alpha' } });
    expect(data.user!.user_metadata).toEqual({ status: 'alpha' });
    const { action_link, email_otp, hashed_token, verification_type, redirect_to } = data.properties!;
    for (const part of ['?token=', 'type=signup', `redirect_to=${redirectTo}`]) expect(action_link).toContain(part);
    expect([verification_type, redirect_to]).toEqual(['signup', redirectTo]);
    expect(await mailsTo(service, email)).toEqual([]);
    for (const secret of [email_otp, hashed_token]) service.ledger.keepSecret(secret);
    expect((await client().verifyOtp({ email, token: email_otp, type: 'signup' })).error).toBeNull();
    expect((await client().verifyOtp({ token_hash: hashed_token, type: 'signup' })).error).not.toBeNull();
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
  });

  test.each([
    ['magiclink', 'magiclink'],
    ['recovery', 'recovery'],
  ] as const)('returns a %s that signs a known user in', async (type, inLink) => {
    const { admin, service, client } = await started(env);
    await admin.createUser({ email, email_confirm: true });
    const { data } = await admin.generateLink({ type, email, options: { redirectTo } });
    expect(data.properties!.action_link).toContain(`type=${inLink}`);
    expect(data.properties!.verification_type).toBe(type);
    const { place, fragment } = await open(service, data.properties!.action_link);
    expect(place.origin + place.pathname).toBe(redirectTo);
    expect((await client().getUser(fragment.access_token)).data.user!.email).toBe(email);
  });

  test('returns both links of a change of address, which takes both', async () => {
    const { admin, service } = await started(env);
    const { data: created } = await admin.createUser({ email, email_confirm: true });
    const newEmail = 'ada@example.com';
    const links = [];
    for (const type of ['email_change_current', 'email_change_new'] as const) {
      const { data, error } = await admin.generateLink({ type, email, newEmail });
      expect(error).toBeNull();
      expect(data.properties!.action_link).toContain('type=email_change');
      expect(data.properties!.verification_type).toBe(type);
      links.push(data.properties!.action_link);
    }
    expect((await open(service, links[0]!)).fragment.message).toMatch(/^Confirmation link accepted/);
    expect((await open(service, links[1]!)).fragment.type).toBe('email_change');
    expect((await admin.getUserById(created.user!.id)).data.user!.email).toBe(newEmail);
  });

  test('registers an unknown address for a magic link, and for nothing else', async () => {
    const { admin } = await started(env);
    const { data } = await admin.generateLink({ type: 'magiclink', email });
    expect([data.properties!.verification_type, data.user!.email]).toEqual(['signup', email]);
    const { error } = await admin.generateLink({ type: 'recovery', email: bob.email });
    expect(shown(error)).toEqual([404, 'user_not_found', 'User not found']);
    await admin.createUser({ email: bob.email, email_confirm: true });
    const taken = await admin.generateLink({ type: 'signup', email: bob.email, password });
    expect(taken.error!.code).toBe('email_exists');
  });

  test('expires after an hour', async () => {
    const { admin, service } = await started(env);
    await admin.createUser({ email, email_confirm: true });
    const { data } = await admin.generateLink({ type: 'recovery', email });
    service.pass(3601);
    expect((await open(service, data.properties!.action_link)).fragment.error_code).toBe('otp_expired');
  });
});

test('a mail link that was followed is not in the log or the database', async () => {
  const { service, client } = await started();
  await client().signUp({ email, password });
  const { token } = await lastMail(service, email);
  service.ledger.keepSecret(token);
  await followLink(service, email);
});
