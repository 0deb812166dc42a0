// @serializable
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../../gen/gatehouse/v1/account_pb.ts';
import { mailsTo, tokenFor } from '../../support/inbox.ts';
import { ada, asService } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { bearer, wires } from '../../support/start.ts';
import { adaAtAcme, clientNonce, oauthClient, startWithProvider } from './oauth.ts';

describe.each(wires)('over %s', (wire) => {
  test('a new user signs in with a provider, and the same identity is the same user the next time', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const first = await signIn();
    expect(first).toMatchObject({
      userCreated: true,
      user: { email: 'ada@example.org', emailVerified: true, name: 'Ada Lovelace', isAnonymous: false },
      identity: { provider: 'acme', subject: 'ada-at-acme', email: 'ada@example.org', emailVerified: true },
      account: { account: { name: "Ada Lovelace's Account" } },
    });
    expect(first.session!.amr.map(({ method }) => method)).toEqual(['oauth']);
    expect(first.tokens!.accessToken).not.toBe('');
    const second = await signIn();
    expect(second).toMatchObject({
      userCreated: false,
      user: { id: first.user!.id },
      identity: { id: first.identity!.id },
    });
    const { user } = await auth.getMe({}, bearer(second.tokens!));
    expect(user!.id).toBe(first.user!.id);
    const { sessions } = service.clients(wire);
    const refreshed = await sessions.refresh({ refreshToken: second.tokens!.refreshToken });
    expect(refreshed.tokens!.refreshToken).not.toBe(second.tokens!.refreshToken);
    const actions = await service.database.query('select action from audit_events order by id');
    expect(actions.map(({ action }) => action)).toEqual(['auth.register', 'auth.login', 'auth.login']);
  });

  test('the request to the provider has PKCE, a state and a nonce, and no parameter of the client replaces them', async () => {
    const { service, provider } = await startWithProvider();
    const { begin } = oauthClient(service, provider, wire);
    const parameters = [
      { name: 'prompt', value: 'login' },
      { name: 'login_hint', value: 'ada@example.org' },
    ];
    const { authorizationUrl, expireTime } = await begin({ parameters, scopes: ['calendar', 'email'] });
    const { searchParams, origin, pathname } = new URL(authorizationUrl);
    expect(origin + pathname).toBe(`${provider.url}/authorize`);
    expect(Object.fromEntries(searchParams)).toEqual({
      client_id: 'gatehouse-web',
      redirect_uri: 'http://gatehouse.test/oauth/callback',
      response_type: 'code',
      scope: 'openid email profile calendar',
      state: expect.stringMatching(/^ghos_[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
      prompt: 'login',
      login_hint: 'ada@example.org',
    });
    expect(Number(expireTime!.seconds) - service.now().getTime() / 1000).toBeGreaterThan(290);
    for (const name of ['state', 'redirect_uri', 'client_id', 'code_challenge', 'response_type', 'nonce'])
      expect((await refusalOf(begin({ parameters: [{ name, value: 'x' }] }))).reason, name).toBe('INVALID_ARGUMENT');
  });

  test('a state is used once, by the client that started it, within five minutes', async () => {
    const { service, provider } = await startWithProvider();
    const { consent, auth } = oauthClient(service, provider, wire);
    const finishing = await consent();
    const others = { ...finishing, clientNonce: 'the-nonce-of-another-browser' };
    for (const request of [others, { ...finishing, clientNonce: '' }, { ...finishing, state: 'ghos_unknown' }])
      expect((await refusalOf(auth.finishOAuth(request))).reason).toBe('OAUTH_STATE_INVALID');
    expect((await auth.finishOAuth(finishing)).user!.email).toBe(ada.email);
    expect((await refusalOf(auth.finishOAuth(finishing))).reason).toBe('OAUTH_STATE_INVALID');
    const late = await consent();
    service.pass(301);
    expect((await refusalOf(auth.finishOAuth(late))).reason).toBe('OAUTH_STATE_INVALID');
    expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
  });

  test('a client without a nonce has to say so, and then any client can finish', async () => {
    const { service, provider } = await startWithProvider();
    const { begin, auth } = oauthClient(service, provider, wire);
    expect((await refusalOf(begin({ clientNonce: '' }))).reason).toBe('INVALID_ARGUMENT');
    expect((await refusalOf(begin({ unbound: true }))).reason).toBe('INVALID_ARGUMENT');
    const { authorizationUrl } = await begin({ clientNonce: '', unbound: true });
    const finished = await auth.finishOAuth(provider.consent(authorizationUrl, adaAtAcme));
    expect(finished.user!.email).toBe(ada.email);
  });

  test('a sign-in leads back to an allowed place only, also when it fails', async () => {
    const env = { REDIRECT_URLS: 'https://app.example.com/**', SITE_URL: 'https://example.com' };
    const { service, provider } = await startWithProvider({ env });
    const { signIn, begin, auth } = oauthClient(service, provider, wire);
    const redirectUrl = 'https://app.example.com/welcome?from=acme';
    expect(await signIn(adaAtAcme, { redirectUrl, clientState: 'kept' })).toMatchObject({
      redirectUrl,
      clientState: 'kept',
    });
    const { authorizationUrl } = await begin({ redirectUrl });
    const { state } = provider.consent(authorizationUrl, adaAtAcme);
    const denied = await refusalOf(auth.finishOAuth({ state, clientNonce, error: 'access_denied' }));
    expect(denied).toMatchObject({ reason: 'ACCESS_DENIED', metadata: { redirect_url: redirectUrl } });
    for (const url of [
      'https://evil.example/',
      '//evil.example',
      'https:evil.example',
      'javascript:alert(1)',
      '/welcome',
    ]) {
      for (const field of ['redirectUrl', 'callbackUrl'] as const)
        expect((await refusalOf(begin({ [field]: url }))).reason, `${field} ${url}`).toBe('REDIRECT_NOT_ALLOWED');
    }
    const own = 'http://gatehouse.test/auth/v1/callback';
    for (const callbackUrl of [own, 'https://app.example.com/callback']) {
      const started = await begin({ callbackUrl });
      expect(new URL(started.authorizationUrl).searchParams.get('redirect_uri')).toBe(callbackUrl);
    }
  });

  test('the tokens of the provider are returned on request, and stored nowhere', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn } = oauthClient(service, provider, wire);
    expect((await signIn()).providerTokens).toBeUndefined();
    const { providerTokens } = await signIn(adaAtAcme, {}, { returnProviderTokens: true });
    expect(providerTokens).toMatchObject({
      refreshToken: 'of the provider',
      accessToken: expect.stringMatching(/.{10}/),
    });
  });

  test('a user whom nobody has verified keeps nothing when a provider verifies their address', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn, auth } = oauthClient(service, provider, wire);
    await auth.register(ada);
    const attacker = await service.signIn();
    const { user, identity } = await signIn();
    expect(user).toMatchObject({ id: attacker.user.id, emailVerified: true, name: '' });
    expect(identity!.name).toBe('Ada Lovelace');
    expect((await refusalOf(auth.getMe({}, attacker.as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
  });

  test('a user with a verified address keeps password and sessions when an identity is linked to them', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const before = await service.welcome({ ...ada, emailVerified: true });
    const { user, userCreated } = await signIn({ ...adaAtAcme, email: 'Ada@Example.ORG' });
    expect({ id: user!.id, email: user!.email, userCreated }).toEqual({
      id: before.user.id,
      email: ada.email,
      userCreated: false,
    });
    expect((await auth.getMe({}, before.as)).user!.name).toBe('Ada');
    await service.signIn();
    const linked = await service.database.query(
      `select actor_id, user_id, entity_type from audit_events where action = 'identity.link'`,
    );
    expect(linked).toMatchObject([{ user_id: before.user.id, entity_type: 'identity' }]);
  });

  test('a user without a password is referred to their providers', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const { tokens } = await signIn();
    const as = bearer(tokens!);
    const refused = { reason: 'USE_OAUTH_PROVIDER', metadata: { providers: 'acme' } };
    expect(await refusalOf(auth.signIn(ada))).toMatchObject(refused);
    const change = { currentPassword: 'x', newPassword: 'a long enough phrase' };
    expect(await refusalOf(auth.changePassword(change, as))).toMatchObject(refused);
    const email = 'other@example.org';
    expect(await refusalOf(auth.updateMe({ email, currentPassword: 'x' }, as))).toMatchObject(refused);
    expect(await refusalOf(auth.updateMe({ email }, as))).toMatchObject(refused);
    await auth.requestPasswordReset({ email: ada.email });
    expect(await mailsTo(service, ada.email)).toEqual([]);
  });

  test('with hidden registration, a password for a user without one is refused like every wrong one', async () => {
    const { service, provider } = await startWithProvider({ env: { HIDE_REGISTRATION: 'on' } });
    const { signIn, auth } = oauthClient(service, provider, wire);
    await signIn();
    expect(await refusalOf(auth.signIn(ada))).toMatchObject({ reason: 'INVALID_CREDENTIALS', metadata: {} });
  });

  test('a banned user and, while registration is off, a new one are refused', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn } = oauthClient(service, provider, wire);
    const { admin } = service.clients(wire);
    const { user } = await signIn();
    await admin.banUser({ userId: user!.id }, asService);
    expect((await refusalOf(signIn())).reason).toBe('USER_BANNED');
    await admin.updateSettings({ settings: { signUp: false } }, asService);
    const eve = { ...adaAtAcme, sub: 'eve', email: 'eve@example.org' };
    expect((await refusalOf(signIn(eve))).reason).toBe('SIGN_UP_DISABLED');
    expect(await service.database.query('select 1 from users')).toHaveLength(1);
  });

  test('a new user joins the account of an invitation, or needs a code where one is required', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn } = oauthClient(service, provider, wire);
    const { accounts } = service.clients(wire);
    const owner = await service.welcome({ ...ada, email: 'owner@example.org', emailVerified: true });
    const invite = { accountId: owner.account.id, email: 'ADA@example.org', role: AccountRole.MEMBER };
    const { accountInviteCode } = await accounts.createAccountInvite(invite, asService);
    const wrong = await refusalOf(signIn({ ...adaAtAcme, email: 'eve@example.org' }, { accountInviteCode }));
    expect(wrong.reason).toBe('INVITE_EMAIL_MISMATCH');
    const { user, account } = await signIn(adaAtAcme, { accountInviteCode });
    expect(account!.account!.id).toBe(owner.account.id);
    expect(user!.emailVerified).toBe(true);
    const closed = await startWithProvider({ env: { REQUIRE_INVITE_CODE: 'on' } });
    const refused = await refusalOf(oauthClient(closed.service, closed.provider, wire).signIn());
    expect(refused.reason).toBe('INVITE_CODE_REQUIRED');
    expect(await closed.service.database.query('select 1 from identities')).toEqual([]);
  });

  test('a user who is deleted can register again with the same identity', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const first = await signIn();
    await auth.deleteMe({}, bearer(first.tokens!));
    const second = await signIn();
    expect(second.userCreated).toBe(true);
    expect(second.user!.id).not.toBe(first.user!.id);
    const { admin } = service.clients(wire);
    await admin.deleteUser({ userId: second.user!.id }, asService);
    expect((await signIn()).userCreated).toBe(true);
  });

  test('the six booleans of the settings follow the configuration, and the list has all providers', async () => {
    const { service } = await startWithProvider({}, (provider) => ({
      google: provider.settings(),
      github: provider.plainSettings(),
      microsoft: provider.settings(),
      apple: provider.settings({ label: 'Apple ID' }),
    }));
    const { external, providers } = await service.clients(wire).auth.getSettings({});
    expect(external).toMatchObject({
      google: true,
      github: true,
      azure: true,
      gitlab: false,
      bitbucket: false,
      discord: false,
    });
    expect(providers.map(({ name, label, postsCallback }) => [name, label, postsCallback])).toEqual([
      ['acme', 'acme', false],
      ['google', 'Google', false],
      ['github', 'GitHub', false],
      ['microsoft', 'Microsoft', false],
      ['apple', 'Apple ID', true],
    ]);
  });

  test('an unverified address waits for the link in a mail, while its user is signed in', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const claims = { ...adaAtAcme, email_verified: false };
    const { user, tokens } = await signIn(claims);
    expect(user).toMatchObject({ email: '', emailVerified: false });
    expect((await auth.getMe({}, bearer(tokens!))).user!.pendingEmail).toBe(ada.email);
    await auth.confirmEmailChange({ token: await tokenFor(service, ada.email) });
    expect((await signIn(claims)).user).toMatchObject({ id: user!.id, email: ada.email, emailVerified: true });
    expect(await mailsTo(service, '')).toEqual([]);
  });
});
