// @serializable
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../../gen/gatehouse/v1/account_pb.ts';
import { tokenFor } from '../../support/inbox.ts';
import { registerPasskey } from '../../support/passkeys.ts';
import { ada, asService, bob } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { SoftwareAuthenticator } from '../../support/software-authenticator.ts';
import { bearer, type TestService, wires } from '../../support/start.ts';
import { adaAtAcme, clientNonce, oauthClient, startWithProvider } from './oauth.ts';

const atOther = { ...adaAtAcme, sub: 'ada-at-other' };
const withOther = () =>
  startWithProvider({}, (provider) => ({ other: provider.settings(), apple: provider.settings() }));

async function linksOf({ database }: TestService) {
  const rows = await database.query<{ provider: string; subject: string; email: string }>(
    `select i.provider, i.subject, u.email from identities i join users u on u.id = i.user_id order by i.id`,
  );
  return rows.map(({ provider, subject, email }) => `${provider} ${subject} ${email}`);
}

describe.each(wires)('over %s', (wire) => {
  test('an address is the same user in every case of its letters', async () => {
    const { service, provider } = await withOther();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const { user } = await service.welcome({ ...ada, email: 'Jo@Example.test', emailVerified: true });
    const linked = await signIn({ ...adaAtAcme, email: 'JO@EXAMPLE.TEST' });
    expect(linked.user).toMatchObject({ id: user.id, email: 'Jo@Example.test' });
    await auth.requestPasswordReset({ email: 'jo@EXAMPLE.test' });
    expect(await tokenFor(service, 'Jo@Example.test')).toMatch(/^ghot_/);
  });

  test('an address that the provider has not verified links nothing, whatever stands in its place', async () => {
    const { service, provider } = await withOther();
    const { signIn } = oauthClient(service, provider, wire);
    await service.welcome({ ...ada, emailVerified: true });
    for (const email_verified of [undefined, false, 'false', 'true', 1, null, {}]) {
      const refused = await refusalOf(signIn({ ...adaAtAcme, email_verified }));
      expect(refused, String(email_verified)).toMatchObject({
        reason: 'IDENTITY_CONFLICT',
        metadata: { conflict: 'email' },
      });
    }
    expect(await linksOf(service)).toEqual([]);
  });

  test('a provider whose addresses the operator does not trust links nothing', async () => {
    const { service, provider } = await startWithProvider({}, (each) => ({
      other: each.settings({ trusts_email: false }),
    }));
    const { signIn } = oauthClient(service, provider, wire);
    await service.welcome({ ...ada, emailVerified: true });
    expect((await refusalOf(signIn(adaAtAcme, { provider: 'other' }))).reason).toBe('IDENTITY_CONFLICT');
  });

  test('an identity stays with its user when the addresses of both change', async () => {
    const { service, provider } = await withOther();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const first = await signIn();
    const { admin } = service.clients(wire);
    await admin.updateUser({ userId: first.user!.id, email: 'new@example.org', emailVerified: true }, asService);
    const { user: stranger } = await admin.createUser({ ...ada, emailVerified: true }, asService);
    expect((await signIn()).user).toMatchObject({ id: first.user!.id, email: 'new@example.org' });
    await admin.createUser({ ...bob, emailVerified: true }, asService);
    const moved = await signIn({ ...adaAtAcme, email: bob.email });
    expect(moved).toMatchObject({
      user: { id: first.user!.id, email: 'new@example.org' },
      identity: { email: bob.email },
    });
    const { user } = await auth.signIn(ada);
    expect(user!.id).toBe(stranger!.id);
    expect(await linksOf(service)).toEqual(['acme ada-at-acme new@example.org']);
  });

  test('an identity is named by its provider and subject, letter for letter', async () => {
    const { service, provider } = await withOther();
    const { signIn } = oauthClient(service, provider, wire);
    const nameless = { email: undefined };
    const users = [
      await signIn({ ...adaAtAcme, ...nameless }),
      await signIn({ ...adaAtAcme, ...nameless, sub: 'ADA-AT-ACME' }),
      await signIn({ ...adaAtAcme, ...nameless }, { provider: 'other' }),
    ];
    expect(new Set(users.map(({ user }) => user!.id)).size).toBe(3);
  });

  test('an invited person signs in with a provider before the mail is opened', async () => {
    const { service, provider } = await withOther();
    const { signIn } = oauthClient(service, provider, wire);
    const { admin, accounts } = service.clients(wire);
    const owner = await service.welcome({ ...bob, emailVerified: true });
    const { user } = await admin.createUser({ email: 'new@example.org' }, asService);
    const invite = { accountId: owner.account.id, email: 'new@example.org', role: AccountRole.MEMBER };
    const { accountInviteCode } = await accounts.createAccountInvite(invite, asService);
    const unverified = await refusalOf(signIn({ ...adaAtAcme, email: 'New@Example.org', email_verified: false }));
    expect(unverified.reason).toBe('IDENTITY_CONFLICT');
    const signedIn = await signIn({ ...adaAtAcme, email: 'New@Example.org' });
    expect(signedIn.user).toMatchObject({ id: user!.id, emailVerified: true });
    const as = bearer(signedIn.tokens!);
    const { account } = await accounts.acceptAccountInvite({ accountInviteCode }, as);
    expect(account!.id).toBe(owner.account.id);
    expect((await refusalOf(accounts.acceptAccountInvite({ accountInviteCode }, as))).reason).toBe(
      'ACCOUNT_INVITE_CODE_USED',
    );
  });

  test('a user links identities, lists them, and unlinks all but the last way to sign in', async () => {
    const { service, provider } = await withOther();
    const { signIn, link, auth } = oauthClient(service, provider, wire);
    const { user, tokens } = await signIn();
    const as = bearer(tokens!);
    const linked = await link(as, { ...atOther, email: 'other@example.org' }, { provider: 'other' });
    expect(linked).toMatchObject({
      user: { id: user!.id },
      identity: { provider: 'other', email: 'other@example.org' },
    });
    expect(linked.tokens, 'the session goes on').toBeUndefined();
    const listed = async () => (await auth.listIdentities({}, as)).identities;
    expect((await listed()).map((each) => each.provider)).toEqual(['acme', 'other']);
    expect((await signIn(atOther, { provider: 'other' })).user!.id).toBe(user!.id);
    const [acme, other] = await listed();
    await auth.unlinkIdentity({ identityId: acme!.id.toUpperCase() }, as);
    expect((await refusalOf(auth.unlinkIdentity({ identityId: acme!.id }, as))).reason).toBe('IDENTITY_NOT_FOUND');
    expect((await refusalOf(auth.unlinkIdentity({ identityId: other!.id }, as))).reason).toBe('LAST_SIGN_IN_METHOD');
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: ada.email, emailVerified: true });
    const actions = await service.database.query<{ action: string; entity_id: string }>(
      `select action, entity_id from audit_events where entity_type = 'identity' order by id`,
    );
    expect(actions).toEqual([
      { action: 'identity.link', entity_id: other!.id },
      { action: 'identity.unlink', entity_id: acme!.id },
    ]);
  });

  test('with a passkey the last identity can go, and one of a provider that is not configured is no way to sign in', async () => {
    const { service, provider } = await withOther();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const { tokens, identity } = await signIn();
    const as = bearer(tokens!);
    await service.database.query(
      `insert into identities (id, project_id, user_id, provider, subject, email_verified, name, username, picture_url, created_at)
       select gen_random_uuid(), project_id, user_id, 'former', subject, true, '', '', '', created_at from identities`,
    );
    const unlink = () => auth.unlinkIdentity({ identityId: identity!.id }, as);
    expect((await refusalOf(unlink())).reason).toBe('LAST_SIGN_IN_METHOD');
    await registerPasskey(service.clients(wire), as, new SoftwareAuthenticator());
    await unlink();
    expect(await linksOf(service)).toEqual([`former ada-at-acme ${ada.email}`]);
  });

  test('with a password the last identity can go, and the address stays verified', async () => {
    const { service, provider } = await withOther();
    const { link, auth } = oauthClient(service, provider, wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    for (let round = 0; round < 2; round++) {
      const { identity } = await link(as);
      await auth.unlinkIdentity({ identityId: identity!.id }, as);
      expect((await auth.getMe({}, as)).user).toMatchObject({ email: ada.email, emailVerified: true });
      expect((await auth.listIdentities({}, as)).identities).toEqual([]);
    }
    await service.signIn();
  });

  test('an identity of another user is a conflict, and stays theirs', async () => {
    const { service, provider } = await withOther();
    const { signIn, link, auth } = oauthClient(service, provider, wire);
    const theirs = await signIn();
    const { as } = await service.welcome({ ...bob, emailVerified: true });
    expect(await refusalOf(link(as))).toMatchObject({
      reason: 'IDENTITY_CONFLICT',
      metadata: { conflict: 'identity' },
    });
    const missing = await refusalOf(auth.unlinkIdentity({ identityId: theirs.identity!.id }, as));
    expect(missing.reason).toBe('IDENTITY_NOT_FOUND');
    expect((await signIn()).user!.id).toBe(theirs.user!.id);
    const again = await link(bearer(theirs.tokens!));
    expect(again.identity!.id, 'a second time is no conflict').toBe(theirs.identity!.id);
  });

  test('a link needs a session that is live, recent and of a verified user', async () => {
    const { service, provider } = await withOther();
    const { auth } = oauthClient(service, provider, wire);
    const { sessions } = service.clients(wire);
    const request = { provider: 'acme', clientNonce };
    expect((await refusalOf(auth.startIdentityLink(request))).reason).toBe('AUTHENTICATION_REQUIRED');
    const unverified = await service.welcome(bob);
    expect((await refusalOf(auth.startIdentityLink(request, unverified.as))).reason).toBe('EMAIL_NOT_VERIFIED');
    const { as, tokens } = await service.welcome({ ...ada, emailVerified: true });
    const { authorizationUrl } = await auth.startIdentityLink(request, as);
    await sessions.signOut({ refreshToken: tokens.refreshToken });
    const finishing = { ...provider.consent(authorizationUrl, adaAtAcme), clientNonce };
    expect((await refusalOf(auth.finishOAuth(finishing))).reason).toBe('SESSION_REVOKED');
    const late = await service.signIn();
    service.pass(601);
    const stale = await refusalOf(auth.startIdentityLink(request, late.as));
    expect(stale.reason).toBe('REAUTHENTICATION_REQUIRED');
    expect(await linksOf(service)).toEqual([]);
  });

  test('a link opens a session where the client asks for one', async () => {
    const { service, provider } = await withOther();
    const { auth } = oauthClient(service, provider, wire);
    const { as, user } = await service.welcome({ ...ada, emailVerified: true });
    const { authorizationUrl } = await auth.startIdentityLink({ provider: 'acme', clientNonce }, as);
    const finishing = { ...provider.consent(authorizationUrl, adaAtAcme), clientNonce, signIn: true };
    const { tokens } = await auth.finishOAuth(finishing);
    expect((await auth.getMe({}, bearer(tokens!))).user!.id).toBe(user.id);
  });

  test('a user has 20 identities at most', async () => {
    const { service, provider } = await withOther();
    const { auth } = oauthClient(service, provider, wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const link = async (sub: string) =>
      auth.linkIdentity({ provider: 'acme', idToken: await provider.idToken({ sub }) }, as);
    for (let count = 0; count < 20; count++) await link(`ada-${count}`);
    expect((await refusalOf(link('one-more'))).reason).toBe('IDENTITY_LIMIT_REACHED');
    expect((await link('ada-0')).identity!.subject).toBe('ada-0');
  });

  test('the first proof of a mailbox removes the identities that did not verify the address', async () => {
    const { service, provider } = await withOther();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const attacker = await signIn({ ...atOther, email_verified: false }, { provider: 'other' });
    await service.database.query(
      `update users set email = pending_email, email_key = pending_email, pending_email = null where id = $1`,
      [attacker.user!.id],
    );
    expect((await signIn()).user!.id).toBe(attacker.user!.id);
    expect(await linksOf(service)).toEqual(['acme ada-at-acme ada@example.org']);
    expect((await refusalOf(auth.getMe({}, bearer(attacker.tokens!)))).reason).toBe('SESSION_REVOKED');
  });
});
