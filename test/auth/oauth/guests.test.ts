// @serializable
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { mailsTo, tokenFor } from '../../support/inbox.ts';
import { ada, asService, bob } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { bearer, wires } from '../../support/start.ts';
import { adaAtAcme, clientNonce, oauthClient, startWithProvider } from './oauth.ts';

const unverified = { ...adaAtAcme, email_verified: false };

describe.each(wires)('over %s', (wire) => {
  test('a guest who links an identity is a registered user, whose session goes on with new tokens', async () => {
    const { service, provider } = await startWithProvider();
    const { link, auth } = oauthClient(service, provider, wire);
    const { accounts, sessions } = service.clients(wire);
    const guest = await service.guest();
    service.pass(3000);
    provider.now = () => service.now().getTime();
    const linked = await link(guest.as);
    expect(linked).toMatchObject({
      user: { id: guest.user.id, isAnonymous: false, email: ada.email, emailVerified: true, name: 'Ada Lovelace' },
      session: { id: guest.session.id },
      account: { account: { name: "Ada Lovelace's Account" } },
    });
    const as = bearer(linked.tokens!);
    expect(decodeJwt(linked.tokens!.accessToken)).toMatchObject({
      ...{ is_anonymous: false, email: ada.email, app_metadata: { provider: 'acme', providers: ['acme'] } },
    });
    expect((await refusalOf(auth.getMe({}, guest.as))).reason).toBe('TOKEN_SUPERSEDED');
    const stale = await refusalOf(sessions.refresh({ refreshToken: guest.tokens.refreshToken }));
    expect(stale.reason).toBe('REFRESH_TOKEN_SUPERSEDED');
    expect((await accounts.listAccounts({}, as)).accounts).toHaveLength(1);
    const { user } = await auth.getMe({ identities: true }, as);
    expect(user).toMatchObject({ providers: ['acme'], identities: [{ provider: 'acme', subject: 'ada-at-acme' }] });
    const actions = await service.database.query('select action from audit_events order by id');
    expect(actions.map(({ action }) => action)).toEqual(['auth.sign_up_anonymous', 'auth.register', 'identity.link']);
  });

  test('a guest links by an ID token, too', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = service.clients(wire);
    const guest = await service.guest();
    const request = { provider: 'acme', idToken: await provider.idToken(adaAtAcme), signIn: true };
    const { user, tokens, session } = await auth.linkIdentity(request, guest.as);
    expect([user!.isAnonymous, session!.id]).toEqual([false, guest.session.id]);
    await auth.getMe({}, bearer(tokens!));
    expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
  });

  test('an address that the provider has not verified is pending until a mail is confirmed', async () => {
    const { service, provider } = await startWithProvider();
    const { link, auth } = oauthClient(service, provider, wire);
    const guest = await service.guest();
    const { user, tokens } = await link(guest.as, unverified);
    expect(user).toMatchObject({ isAnonymous: false, email: '', pendingEmail: ada.email });
    await auth.confirmEmailChange({ token: await tokenFor(service, ada.email) });
    expect((await auth.getMe({}, bearer(tokens!))).user).toMatchObject({ email: ada.email, emailVerified: true });
  });

  test.each([
    ['an address that another user has', {}, adaAtAcme, 'IDENTITY_CONFLICT'],
    ['an unverified address that another user has', {}, unverified, 'IDENTITY_CONFLICT'],
    ['where nobody registers', { SIGN_UP: 'off' }, { ...adaAtAcme, email: 'new@example.org' }, 'SIGN_UP_DISABLED'],
    ['where a code is needed', { REQUIRE_INVITE_CODE: 'on' }, { sub: 'x' }, 'INVITE_CODE_REQUIRED'],
    [
      'a taken address that is not verified, where that is hidden',
      { HIDE_REGISTRATION: 'on' },
      unverified,
      'EMAIL_NOT_VERIFIED',
    ],
    ['no address where one is needed', { REQUIRE_VERIFIED_EMAIL: 'on' }, { sub: 'x' }, 'EMAIL_NOT_VERIFIED'],
  ] as const)('%s is refused, and the guest stays one', async (_, env: object, claims, reason) => {
    const { service, provider } = await startWithProvider({ env: { ...env } });
    const { link, auth } = oauthClient(service, provider, wire);
    await service.clients(wire).admin.createUser({ ...ada, emailVerified: true }, asService);
    const guest = await service.guest();
    expect((await refusalOf(link(guest.as, claims))).reason).toBe(reason);
    expect((await auth.getMe({}, guest.as)).user!.isAnonymous).toBe(true);
    expect(await service.database.query('select 1 from identities')).toEqual([]);
    expect(await mailsTo(service, ada.email)).toEqual([]);
  });
});

describe.each(wires)('over %s', (wire) => {
  test('a user with an identity removes their password, and signs in with the provider or by mail', async () => {
    const { service, provider } = await startWithProvider();
    const { link, signIn, auth } = oauthClient(service, provider, wire);
    const { as, user } = await service.welcome({ ...ada, emailVerified: true });
    expect((await refusalOf(auth.unlinkIdentity({ email: true }, as))).reason).toBe('LAST_SIGN_IN_METHOD');
    const { identity } = await link(as);
    for (const request of [{}, { email: true, identityId: identity!.id }])
      expect((await refusalOf(auth.unlinkIdentity(request, as))).reason).toBe('INVALID_ARGUMENT');
    await auth.unlinkIdentity({ email: true }, as);
    expect((await auth.getMe({}, as)).user).toMatchObject({
      providers: ['acme'],
      email: ada.email,
      emailVerified: true,
    });
    expect((await refusalOf(auth.unlinkIdentity({ email: true }, as))).reason).toBe('IDENTITY_NOT_FOUND');
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('USE_OAUTH_PROVIDER');
    expect((await refusalOf(auth.unlinkIdentity({ identityId: identity!.id }, as))).reason).toBe('LAST_SIGN_IN_METHOD');
    expect((await signIn()).user!.id).toBe(user.id);
  });

  test('LinkIdentity creates a session where the client asks for one', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = service.clients(wire);
    const { as, session } = await service.welcome({ ...ada, emailVerified: true });
    const idToken = await provider.idToken(adaAtAcme);
    expect((await auth.linkIdentity({ provider: 'acme', idToken }, as)).tokens).toBeUndefined();
    const linked = await auth.linkIdentity({ provider: 'acme', idToken, signIn: true }, as);
    expect(linked.session!.id).not.toBe(session.id);
    expect((await auth.getMe({}, bearer(linked.tokens!))).user!.providers).toEqual(['email', 'acme']);
  });

  test('with IDENTITY_LINKING off nothing is linked or unlinked', async () => {
    const { service, provider } = await startWithProvider({ env: { IDENTITY_LINKING: 'off' } });
    const { auth, signIn } = oauthClient(service, provider, wire);
    const { as } = await service.welcome({ ...bob, emailVerified: true });
    const idToken = await provider.idToken(adaAtAcme);
    const attempts = [
      () => auth.startIdentityLink({ provider: 'acme', clientNonce }, as),
      () => auth.linkIdentity({ provider: 'acme', idToken }, as),
      () => auth.unlinkIdentity({ email: true }, as),
    ];
    for (const attempt of attempts) expect((await refusalOf(attempt())).reason).toBe('IDENTITY_LINKING_DISABLED');
    expect((await signIn()).user!.email).toBe(ada.email);
  });
});
