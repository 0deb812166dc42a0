// @serializable
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { ada, bob } from '../support/people.ts';
import { codeFor, confirmed, shown, supabaseAdmin } from '../support/supabase.ts';
import { adaAtAcme, adopt, startSupabaseWithProvider, urlOf } from '../support/supabase-providers.ts';

const { email, password } = ada;
type Started = Awaited<ReturnType<typeof startSupabaseWithProvider>>;
type Client = ReturnType<Started['client']>;

async function startWithUser(env = {}) {
  const started = await startSupabaseWithProvider({ env: { ...confirmed, ...env } });
  const auth = started.client();
  await auth.signUp({ email, password });
  return { ...started, auth };
}

async function link(auth: Client, { browser }: Started, claims = adaAtAcme, options = {}) {
  const { data, error } = await auth.linkIdentity({ provider: 'custom:acme', options });
  if (error) throw error;
  return browser().consent(data.url!, claims);
}

async function identitiesOf(auth: Client) {
  return (await auth.getUserIdentities()).data!.identities;
}

/** What the user, their token and their identities say of the providers, which agree. */
async function providersOf(auth: Client): Promise<string[]> {
  const { data } = await auth.getUser();
  const { providers, provider } = data.user!.app_metadata;
  expect([data.user!.identities!.map((each) => each.provider), provider]).toEqual([providers, providers![0]]);
  const session = (await auth.refreshSession()).data.session!;
  expect(decodeJwt(session.access_token).app_metadata).toEqual({ provider, providers });
  return providers!;
}

test('a user with an address has an identity of the provider email', async () => {
  const { auth } = await startWithUser();
  const user = (await auth.getUser()).data.user!;
  expect(user.identities).toEqual([
    {
      identity_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      id: user.id,
      user_id: user.id,
      identity_data: { sub: user.id, email, email_verified: true, phone_verified: false },
      provider: 'email',
      last_sign_in_at: expect.any(String),
      created_at: expect.any(String),
      updated_at: expect.any(String),
      email,
    },
  ]);
  expect(await providersOf(auth)).toEqual(['email']);
});

describe('linkIdentity', () => {
  test('adds an identity, and backends see it too', async () => {
    const started = await startWithUser();
    const { auth, service } = started;
    const { fragment } = await link(auth, started);
    const { user } = await adopt(auth, fragment);
    expect(user!.email).toBe(email);
    expect(await providersOf(auth)).toEqual(['email', 'acme']);
    const admin = supabaseAdmin(service);
    const shownTo = [(await admin.getUserById(user!.id)).data.user!, (await admin.listUsers()).data.users[0]!];
    for (const each of shownTo) {
      expect(each.app_metadata.providers).toEqual(['email', 'acme']);
      expect(each.identities!.map(({ provider, id }) => [provider, id])).toEqual([
        ['email', user!.id],
        ['acme', 'ada-at-acme'],
      ]);
    }
  });

  test('with PKCE links when the same browser exchanges the code', async () => {
    const started = await startSupabaseWithProvider({ env: confirmed });
    const auth = started.client({ flowType: 'pkce' });
    await auth.signUp({ email, password });
    const { query } = await link(auth, started);
    expect(await identitiesOf(auth), 'not before').toHaveLength(1);
    const { data, error } = await auth.exchangeCodeForSession(query.code!);
    expect(error).toBeNull();
    expect(data.session!.provider_token).toBeTypeOf('string');
    expect(await providersOf(auth)).toEqual(['email', 'acme']);
    started.service.ledger.keepSecret(query.code!);
  });

  test('of an identity that another user has is refused where the browser comes back', async () => {
    for (const flowType of ['implicit', 'pkce'] as const) {
      const started = await startSupabaseWithProvider({ env: confirmed });
      const { client, browser } = started;
      await browser().signIn(await urlOf(client()), adaAtAcme);
      const auth = client({ flowType });
      await auth.signUp(bob);
      const { query, fragment } = await link(auth, started, adaAtAcme);
      expect([query, fragment]).toMatchObject([
        { error_code: 'identity_already_exists' },
        { error_code: 'identity_already_exists' },
      ]);
      expect(await providersOf(auth)).toEqual(['email']);
    }
  });

  test('of an ID token links at once and continues the session of the library', async () => {
    const { auth, provider } = await startWithUser();
    const token = await provider.idToken(adaAtAcme);
    const { data, error } = await auth.linkIdentity({ provider: 'custom:acme' as 'google', token });
    expect(error).toBeNull();
    expect(data.user!.app_metadata!.providers).toEqual(['email', 'acme']);
    const other = await startWithUser();
    const foreign = await other.auth.linkIdentity({ provider: 'google', token });
    expect(shown(foreign.error)).toMatchObject([400, 'provider_disabled', expect.stringMatching(/not enabled/)]);
  });

  test('needs a session, and a sign-in of the last ten minutes', async () => {
    const { request, auth, service } = await startWithUser();
    const { status, body } = await request('GET', '/user/identities/authorize?provider=acme');
    expect([status, body.error_code]).toEqual([401, 'no_authorization']);
    service.pass(601);
    const { error } = await auth.linkIdentity({ provider: 'custom:acme' });
    expect(shown(error).slice(0, 2)).toEqual([400, 'reauthentication_needed']);
  });
});

describe('a guest who links an identity', () => {
  test.each(['implicit', 'pkce'] as const)('is a registered user from then on (%s)', async (flowType) => {
    const started = await startSupabaseWithProvider();
    const { service } = started;
    const auth = started.client({ flowType });
    const guest = (await auth.signInAnonymously({ options: { data: { colour: 'blue' } } })).data;
    const elsewhere = started.client();
    await elsewhere.setSession(guest.session!);
    service.pass(3000);
    started.provider.now = () => service.now().getTime();
    await auth.refreshSession();
    const before = (await auth.getSession()).data.session!;
    const { query, fragment } = await link(auth, started);
    expect(query.error_code).toBeUndefined();
    const { session } =
      flowType === 'pkce' ? (await auth.exchangeCodeForSession(query.code!)).data : await adopt(auth, fragment);
    const claims = decodeJwt(session!.access_token);
    expect(claims).toMatchObject({
      ...{ sub: guest.user!.id, email, is_anonymous: false, user_metadata: { colour: 'blue' } },
      ...{ session_id: decodeJwt(before.access_token).session_id, amr: [{ method: 'oauth' }] },
    });
    const user = (await auth.getUser()).data.user!;
    expect(user).toMatchObject({
      id: guest.user!.id,
      is_anonymous: false,
      email,
      email_confirmed_at: expect.any(String),
    });
    expect(await providersOf(auth)).toEqual(['acme']);
    const old = await started.request('GET', '/user', { headers: { authorization: `Bearer ${before.access_token}` } });
    expect([old.status, old.body.error_code]).toEqual([403, 'bad_jwt']);
    const accounts = await service.database.query('select 1 from memberships where user_id = $1', [user.id]);
    expect(accounts).toHaveLength(1);
    if (query.code) service.ledger.keepSecret(query.code);
  });

  test('does not take the address of another user', async () => {
    const started = await startSupabaseWithProvider({ env: confirmed });
    await started.client().signUp({ email, password });
    const auth = started.client();
    await auth.signInAnonymously();
    const { query } = await link(auth, started);
    expect(query.error_code).toBe('provider_email_needs_verification');
    expect((await auth.getUser()).data.user!.is_anonymous).toBe(true);
  });

  test('is refused where nobody registers, or not without a code', async () => {
    for (const name of ['SIGN_UP=off', 'REQUIRE_INVITE_CODE=on']) {
      const started = await startSupabaseWithProvider({ env: Object.fromEntries([name.split('=')]) });
      const auth = started.client();
      await auth.signInAnonymously();
      const { query } = await link(auth, started);
      expect(query.error_code).toBe('signup_disabled');
      expect((await auth.getUser()).data.user!.is_anonymous).toBe(true);
    }
  });
});

describe('unlinkIdentity', () => {
  test.each([confirmed, {}])('keeps the address confirmed, and the last identity (%j)', async (env) => {
    const started = await startSupabaseWithProvider({ env });
    const { client, service } = started;
    await service.welcome({ ...ada, emailVerified: true });
    const auth = client();
    await auth.signInWithPassword({ email, password });
    const other = client();
    await other.signInWithPassword({ email, password });
    const unlink = async (provider: string) => {
      const identity = (await identitiesOf(auth)).find((each) => each.provider === provider)!;
      return auth.unlinkIdentity(identity);
    };
    const isConfirmed = async () => (await auth.getUser()).data.user!.email_confirmed_at !== undefined;
    await link(auth, started);
    expect((await unlink('acme')).error).toBeNull();
    expect([await providersOf(auth), await isConfirmed()]).toEqual([['email'], true]);
    const pending = client();
    await pending.signUp(bob);
    await pending.updateUser({ email });
    await link(auth, started);
    expect((await unlink('email')).error).toBeNull();
    expect([await providersOf(auth), await isConfirmed()]).toEqual([['acme'], true]);
    expect(shown((await unlink('acme')).error)).toEqual([
      422,
      'single_identity_not_deletable',
      'User must have at least 1 identity after unlinking',
    ]);
    expect((await other.getUser()).data.user!.email, 'other sessions go on').toBe(email);
    expect(shown((await client().signInWithPassword({ email, password })).error)[1]).toBe('invalid_credentials');
  });

  test('of a user who has only an address, and of an identity that is not theirs, is refused', async () => {
    const { auth, request } = await startWithUser();
    const [identity] = await identitiesOf(auth);
    expect(shown((await auth.unlinkIdentity(identity!)).error)[1]).toBe('single_identity_not_deletable');
    const unlink = async (identity_id: string) =>
      shown((await auth.unlinkIdentity({ ...identity!, identity_id })).error);
    expect((await unlink('01890000-0000-7000-8000-000000000000')).slice(0, 2)).toEqual([422, 'identity_not_found']);
    expect((await unlink('nonsense')).slice(0, 2)).toEqual([404, 'validation_failed']);
    expect((await request('DELETE', `/user/identities/${identity!.identity_id}`)).status).toBe(401);
  });

  test('of a user who registered with a code by mail leaves the address', async () => {
    const started = await startSupabaseWithProvider();
    const { client, service } = started;
    const auth = client();
    await auth.signInWithOtp({ email });
    await auth.verifyOtp({ email, token: await codeFor(service, email), type: 'email' });
    await link(auth, started);
    const acme = (await identitiesOf(auth)).find(({ provider }) => provider === 'acme')!;
    expect((await auth.unlinkIdentity(acme)).error).toBeNull();
    expect(await providersOf(auth)).toEqual(['email']);
  });
});

test('with IDENTITY_LINKING off nothing is linked or unlinked', async () => {
  const started = await startWithUser({ IDENTITY_LINKING: 'off' });
  const { auth, provider } = started;
  const off = [404, 'manual_linking_disabled', 'Manual linking is disabled'];
  expect(shown((await auth.linkIdentity({ provider: 'custom:acme' })).error)).toEqual(off);
  const [identity] = await identitiesOf(auth);
  expect(shown((await auth.unlinkIdentity(identity!)).error)).toEqual(off);
  const token = await provider.idToken(adaAtAcme);
  expect(shown((await auth.linkIdentity({ provider: 'google', token })).error)[0]).toBe(404);
});
