import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { confirmed, shown, startSupabase } from '../support/supabase.ts';

const { email, password } = ada;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

describe('signUp', () => {
  test('signs the user in where addresses are confirmed at once', async () => {
    const { client } = await startSupabase({ env: confirmed });
    const auth = client();
    const { data, error } = await auth.signUp({
      email: 'Ada@Example.org',
      password,
      options: { data: { plan: 'pro' } },
    });
    expect(error).toBeNull();
    const { user, session } = data;
    expect(user).toMatchObject({
      ...{ id: expect.stringMatching(uuid), aud: 'authenticated', role: 'authenticated', phone: '' },
      ...{ app_metadata: { provider: 'email', providers: ['email'] }, user_metadata: { plan: 'pro' } },
      ...{ is_anonymous: false, email_confirmed_at: expect.any(String), confirmed_at: expect.any(String) },
      ...{ created_at: expect.stringMatching(/^\d{4}-.*Z$/), updated_at: expect.any(String) },
    });
    expect(user!.email).toBe(email);
    expect(user!.identities).toEqual([
      expect.objectContaining({
        ...{ identity_id: expect.stringMatching(uuid), id: user!.id, user_id: user!.id, provider: 'email' },
        identity_data: { sub: user!.id, email: user!.email, email_verified: true, phone_verified: false },
      }),
    ]);
    expect(session).toMatchObject({ token_type: 'bearer', expires_in: 3600, user });
    expect(Math.abs(session!.expires_at! - Date.now() / 1000 - 3600)).toBeLessThan(10);
    const { amr, ...claims } = decodeJwt(session!.access_token);
    expect(claims).toMatchObject({
      ...{ sub: user!.id, aud: 'authenticated', role: 'authenticated', aal: 'aal1', phone: '', is_anonymous: false },
      ...{ session_id: expect.stringMatching(uuid), user_metadata: { plan: 'pro' }, email: user!.email },
    });
    expect(amr).toEqual([{ method: 'password', timestamp: expect.any(Number) }]);
    expect((await auth.getUser()).data.user!.id).toBe(user!.id);
  });

  test('and PUT /user show addresses in lower case, whether or not they are registered', async () => {
    const { client, service } = await startSupabase();
    const typed = { email: ' Ada@EXAMPLE.org', password };
    for (const time of ['first', 'again']) expect((await client().signUp(typed)).data.user!.email, time).toBe(email);
    await service.welcome({ ...bob, emailVerified: true });
    const auth = client();
    await auth.signInWithPassword(bob);
    expect((await auth.updateUser({ email: 'Bob@New.example' })).data.user!.new_email).toBe('bob@new.example');
  });

  test('returns the bare user and sends a mail where addresses are confirmed by mail', async () => {
    const { client, service, request } = await startSupabase();
    const { data, error } = await client().signUp({ email, password, options: { data: { plan: 'pro' } } });
    expect(error).toBeNull();
    expect(data.session).toBeNull();
    expect(data.user).toMatchObject({
      email,
      user_metadata: { plan: 'pro' },
      confirmation_sent_at: expect.any(String),
    });
    expect(data.user!.identities).toHaveLength(1);
    expect(data.user!.email_confirmed_at).toBeUndefined();
    expect(await mailsTo(service, email)).toHaveLength(1);
    const bare = await request('POST', '/signup', { body: { ...bob } });
    expect(bare.body).toMatchObject({ email: bob.email });
    expect(bare.body).not.toHaveProperty('user');
    const signIn = await client().signInWithPassword({ email, password });
    expect(shown(signIn.error)).toEqual([400, 'email_not_confirmed', 'Email not confirmed']);
    const wrong = await client().signInWithPassword({ email, password: 'another one' });
    expect(wrong.error!.code).toBe('invalid_credentials');
  });

  test('of a registered address is refused where addresses are confirmed at once', async () => {
    const { client, service } = await startSupabase({ env: confirmed });
    await service.clients('json').admin.createUser(ada, asService);
    const { error } = await client().signUp({ email: 'ADA@example.org', password });
    expect(shown(error)).toEqual([422, 'user_already_exists', 'User already registered']);
  });

  test('of a registered address looks like the first one where addresses are confirmed by mail', async () => {
    const { client, service } = await startSupabase();
    const { user: known } = await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
    const { data, error } = await client().signUp({ email, password: 'another phrase', options: { data: { a: 1 } } });
    expect(error).toBeNull();
    expect(data.session).toBeNull();
    expect(data.user).toMatchObject({ email, role: '', identities: [], user_metadata: { a: 1 } });
    expect(data.user!.id).not.toBe(known!.id);
    expect(await mailsTo(service, email)).toEqual([]);
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
  });

  test('again before the address is confirmed sends the mail again, and keeps the first password', async () => {
    const { client, service } = await startSupabase();
    await client().signUp({ email, password });
    expect(await mailsTo(service, email)).toHaveLength(1);
    service.pass(120);
    expect((await client().signUp({ email, password: 'another phrase' })).error).toBeNull();
    expect(await mailsTo(service, email)).toHaveLength(2);
    expect((await client().signInWithPassword({ email, password })).error!.code).toBe('email_not_confirmed');
    expect((await client().signInWithPassword({ email, password: 'another phrase' })).error!.code).toBe(
      'invalid_credentials',
    );
  });

  test('with HIDE_REGISTRATION answers alike for a free and a taken address', async () => {
    const { client, service } = await startSupabase({ env: { HIDE_REGISTRATION: 'on' } });
    await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
    const free = await client().signUp({ email: bob.email, password });
    const taken = await client().signUp({ email, password });
    const shapeOf = ({ data }: typeof free) => ({
      ...data.user,
      id: '',
      email: '',
      confirmation_sent_at: '',
      created_at: '',
      updated_at: '',
    });
    expect(shapeOf(taken)).toEqual(shapeOf(free));
  });

  test.each<[why: string, person: object, shown: [number, string, string | RegExp]]>([
    ['no password', { email }, [400, 'validation_failed', 'Signup requires a valid password']],
    [
      'an address and a number',
      { email, phone: '+43660', password },
      [400, 'validation_failed', /^Only an email address or phone/],
    ],
    ['a number', { phone: '+43660', password }, [400, 'phone_provider_disabled', 'Phone signups are disabled']],
    [
      'no address',
      { email: 'xx:;x@x.x', password },
      [400, 'validation_failed', 'Unable to validate email address: invalid format'],
    ],
    ['a short password', { email, password: 'x7#' }, [422, 'weak_password', /at least 8 characters\./]],
    ['a common password', { email, password: 'password1' }, [422, 'weak_password', /known to be weak/]],
  ])('is refused with %s', async (_, person, [status, code, text]) => {
    const { request } = await startSupabase({ env: confirmed });
    const { body, status: found } = await request('POST', '/signup', {
      body: person,
      headers: { 'x-supabase-api-version': '2024-01-01' },
    });
    expect([found, body.code]).toEqual([status, code]);
    expect(body.message).toEqual(typeof text === 'string' ? text : expect.stringMatching(text));
  });

  test('names what makes a password weak', async () => {
    const { client } = await startSupabase({ env: confirmed });
    const { error } = await client().signUp({ email, password: 'ab1' });
    expect(error).toMatchObject({ name: 'AuthWeakPasswordError', status: 422, reasons: ['length'] });
  });

  test('is refused where registration is disabled', async () => {
    const { client } = await startSupabase({ env: { SIGN_UP: 'off' } });
    const { error } = await client().signUp({ email, password });
    expect(shown(error)).toEqual([422, 'signup_disabled', 'Signups not allowed for this instance']);
  });
});

describe('signInAnonymously', () => {
  test('signs in a guest with the metadata that were sent', async () => {
    const { client } = await startSupabase();
    const auth = client();
    const { data, error } = await auth.signInAnonymously({ options: { data: { theme: 'dark' } } });
    expect(error).toBeNull();
    const { user, session } = data;
    expect(user).toMatchObject({ is_anonymous: true, email: '', phone: '', identities: [], app_metadata: {} });
    expect(user!.user_metadata).toEqual({ theme: 'dark' });
    const claims = decodeJwt(session!.access_token);
    expect(claims).toMatchObject({
      is_anonymous: true,
      email: '',
      amr: [{ method: 'anonymous' }],
      user_metadata: { theme: 'dark' },
    });
    expect((await auth.getUser()).data.user!.is_anonymous).toBe(true);
  });

  test('is refused where guests are not admitted', async () => {
    const { client } = await startSupabase({ env: { ANONYMOUS_SIGN_IN: 'off' } });
    const { error } = await client().signInAnonymously();
    expect(shown(error)).toEqual([422, 'anonymous_provider_disabled', 'Anonymous sign-ins are disabled']);
  });

  test('with metadata that are too large is refused', async () => {
    const { client } = await startSupabase();
    const { error } = await client().signInAnonymously({ options: { data: { much: 'x'.repeat(6000) } } });
    expect([error!.status, error!.code]).toEqual([400, 'validation_failed']);
  });
});
