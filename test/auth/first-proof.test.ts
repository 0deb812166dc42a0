// @serializable
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { lastMail, tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Pause } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type StartOptions, start, type TestService, type Wire, wires } from '../support/start.ts';

const { OWNER, ADMIN, MEMBER } = AccountRole;
const clientNonce = 'a-nonce-of-at-least-22-characters';
const carol = { email: 'carol@example.org', password: 'a long enough phrase', name: 'Carol' };
const chosen = 'a phrase that ada chose';
const env = { MAIL_GAP: '0s', MAIL_HOURLY_LIMIT: '100' };

/** The ways to sign in that read the mail to ada. Each returns what an access token of hers needs. */
const proofs = {
  'the link': async (service: TestService, wire: Wire) => {
    const { auth } = service.clients(wire);
    await auth.requestMagicLink({ email: ada.email });
    return bearer((await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) })).tokens!);
  },
  'the code': async (service: TestService, wire: Wire) => {
    const { auth } = service.clients(wire);
    await auth.requestMagicLink({ email: ada.email, clientNonce });
    const code = /^\d{6}$/m.exec((await lastMail(service, ada.email)).text)![0];
    return bearer((await auth.signInWithMagicLink({ code: { email: ada.email, code, clientNonce } })).tokens!);
  },
  'the reset': async (service: TestService, wire: Wire) => {
    const { auth } = service.clients(wire);
    await auth.requestPasswordReset({ email: ada.email });
    await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword: chosen });
    return (await service.signIn({ ...ada, password: chosen })).as;
  },
};

/**
 * Somebody has registered ada's address, while addresses were not verified by mail, and let an accomplice, bob, into the
 * account as an admin. The accomplice's own address is verified.
 */
async function hijacked(wire: Wire, options: StartOptions = {}) {
  const service = await start({ ...options, env: { ...env, ...options.env } });
  const { auth, accounts, admin } = service.clients(wire);
  const accomplice = await service.welcome({ ...bob, emailVerified: true });
  await auth.register({ ...ada, name: 'Mallory' });
  const trojan = await service.signIn(ada);
  await auth.updateMe({ phone: '+44 1', jobTitle: 'Thief', locale: 'de', timezone: 'Europe/Vienna' }, trojan.as);
  const accountId = trojan.account.id;
  await admin.updateSettings({ settings: { emailVerification: false } }, asService);
  await accounts.createAccountInvite({ accountId, email: bob.email, role: ADMIN }, trojan.as);
  const accountInviteCode = await tokenFor(service, bob.email);
  const verifyAgain = () => admin.updateSettings({ settings: { emailVerification: true } }, asService);
  return { service, accomplice, trojan, accountId, accountInviteCode, verifyAgain };
}

describe.each(wires)('over %s', (wire) => {
  describe.each(Object.entries(proofs))('by %s', (_, prove) => {
    test('an invitation that was made before the first proof is void afterwards', async () => {
      const { service, accomplice, trojan, accountInviteCode, verifyAgain, accountId } = await hijacked(wire);
      const { accounts } = service.clients(wire);
      await verifyAgain();
      const as = await prove(service, wire);
      expect((await refusalOf(accounts.acceptAccountInvite({ accountInviteCode }, accomplice.as))).reason).toBe(
        'INVALID_ACCOUNT_INVITE_CODE',
      );
      expect((await accounts.listMembers({ accountId }, as)).members.map(({ userId }) => userId)).toEqual([
        trojan.user.id,
      ]);
    });

    test('a member who joined before the first proof is in an account of their own afterwards', async () => {
      const { service, accomplice, trojan, accountInviteCode, accountId } = await hijacked(wire);
      const { accounts, auth } = service.clients(wire);
      await accounts.acceptAccountInvite({ accountInviteCode }, accomplice.as);
      const draft = { accountId, role: MEMBER };
      await accounts.createAccountInvite({ ...draft, email: carol.email }, accomplice.as);
      await auth.register({ ...carol, accountInviteCode: await tokenFor(service, carol.email) });
      const homeless = await service.signIn(carol);
      expect(homeless.account.id).toBe(accountId);
      await accounts.createAccountInvite({ ...draft, email: 'dave@example.org' }, accomplice.as);
      const left = await tokenFor(service, 'dave@example.org');
      await accounts.updateMember({ accountId, userId: accomplice.user.id, role: OWNER }, trojan.as);
      const as = await prove(service, wire);
      expect((await accounts.listMembers({ accountId }, as)).members.map(({ email }) => email)).toEqual([ada.email]);
      expect((await refusalOf(accounts.getAccount({ accountId }, accomplice.as))).reason).toBe('ACCOUNT_NOT_FOUND');
      for (const { as: other, user } of [accomplice, homeless])
        expect((await auth.getMe({}, other)).account!.account).toMatchObject({ ownerId: user.id, role: OWNER });
      const late = auth.register({ ...ada, email: 'dave@example.org', accountInviteCode: left });
      expect((await refusalOf(late)).reason, 'invited by the accomplice').toBe('INVALID_ACCOUNT_INVITE_CODE');
      expect(
        await service.database.query(`select user_id from audit_events where action = 'account.member_remove'`),
      ).toContainEqual({ user_id: accomplice.user.id });
    });

    test('password, sessions, pending address, name and profile of the time before the first proof are gone', async () => {
      const { service, trojan } = await hijacked(wire);
      const { auth, sessions } = service.clients(wire);
      await auth.updateMe({ email: 'mallory@example.org', currentPassword: ada.password }, trojan.as);
      const moving = await tokenFor(service, 'mallory@example.org');
      const as = await prove(service, wire);
      const { user, account } = await auth.getMe({}, as);
      expect(user).toMatchObject({ id: trojan.user.id, emailVerified: true, pendingEmail: '', name: '', phone: '' });
      expect(user).toMatchObject({ jobTitle: '', locale: '', timezone: '' });
      expect(account!.account).toMatchObject({ name: "ada's Account", role: OWNER });
      expect((await refusalOf(auth.getMe({}, trojan.as))).reason).toBe('SESSION_REVOKED');
      const { refreshToken } = trojan.tokens;
      expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toMatch(/^SESSION_|^REFRESH_TOKEN_/);
      expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
      expect((await refusalOf(auth.confirmEmailChange({ token: moving }))).reason).toMatch(/^VERIFICATION_TOKEN_/);
    });

    test('a membership by an invitation that was not mailed to the address goes, one that a backend gave stays', async () => {
      const service = await start({ env });
      const { auth, accounts } = service.clients(wire);
      const host = await service.welcome({ ...bob, emailVerified: true });
      const draft = { accountId: host.account.id, email: ada.email, role: MEMBER };
      const { accountInviteCode } = await accounts.createAccountInvite(draft, asService);
      const { user, tokens } = await auth.register({ ...ada, accountInviteCode });
      expect([user!.emailVerified, tokens], 'the code of a backend proves nothing').toEqual([false, undefined]);
      const team = await service.welcome({ ...carol, emailVerified: true });
      await accounts.addMember({ accountId: team.account.id, userId: user!.id, role: ADMIN }, asService);
      // As an inviter creates it where the service sends no mail.
      await service.database.query(
        `update memberships set joined_by = 'invite' where user_id = $1 and account_id = $2`,
        [user!.id, host.account.id],
      );
      const as = await prove(service, wire);
      const mine = (await accounts.listAccounts({}, as)).accounts;
      expect(mine.map(({ id }) => id)).toEqual([team.account.id]);
      expect((await auth.getMe({}, as)).account!.account!.id, 'where the user is now').toBe(team.account.id);
      await accounts.removeMember({ accountId: team.account.id, userId: user!.id }, as);
      expect((await accounts.listAccounts({}, as)).accounts).toMatchObject([{ role: OWNER, ownerId: user!.id }]);
    });

    test('a later proof changes nothing: members, invitations, name and other sessions stay', async () => {
      const { service, accomplice, accountInviteCode, accountId } = await hijacked(wire);
      const { auth, accounts } = service.clients(wire);
      await service.database.query('update users set email_verified_at = now() where email = $1', [ada.email]);
      await accounts.acceptAccountInvite({ accountInviteCode }, accomplice.as);
      const as = await prove(service, wire);
      expect((await auth.getMe({}, as)).user).toMatchObject({ name: 'Mallory', jobTitle: 'Thief' });
      expect((await accounts.listMembers({ accountId }, as)).members).toHaveLength(2);
    });
  });

  test('an attacker who invites an address is not given the code, and so cannot register with it', async () => {
    const service = await start({ env });
    const { auth, accounts } = service.clients(wire);
    const attacker = await service.welcome({ ...bob, emailVerified: true });
    const draft = { accountId: attacker.account.id, email: ada.email, role: MEMBER };
    const made = await accounts.createAccountInvite(draft, attacker.as);
    expect(made).toMatchObject({ accountInviteCode: '', link: '', mailed: true });
    const accountInviteCode = await tokenFor(service, ada.email);
    expect(JSON.stringify(made, (_, each) => (typeof each === 'bigint' ? `${each}` : each))).not.toContain(
      accountInviteCode,
    );
    const { user, tokens } = await auth.register({ ...ada, accountInviteCode });
    expect(user!.emailVerified, 'the code was read from the mail').toBe(true);
    expect((await auth.getMe({}, bearer(tokens!))).user!.id).toBe(user!.id);
    await proofs['the link'](service, wire);
    await auth.signIn(ada);
  });

  test('a mailed code verifies the address of a user who accepts it, and keeps their password', async () => {
    const service = await start({ env });
    const { auth, accounts } = service.clients(wire);
    const host = await service.welcome({ ...bob, emailVerified: true });
    const { as } = await service.welcome(ada);
    await accounts.createAccountInvite({ accountId: host.account.id, email: ada.email, role: MEMBER }, host.as);
    await accounts.acceptAccountInvite({ accountInviteCode: await tokenFor(service, ada.email) }, as);
    expect((await auth.getMe({}, as)).user!.emailVerified).toBe(true);
    await auth.signIn(ada);
  });

  test('a user without a verified address invites nobody, unless addresses are not verified or no mail is sent', async () => {
    const service = await start({ env });
    const { accounts, admin } = service.clients(wire);
    const { as, account } = await service.welcome(ada);
    const invite = () => accounts.createAccountInvite({ accountId: account.id, email: bob.email, role: MEMBER }, as);
    expect((await refusalOf(invite())).reason).toBe('EMAIL_NOT_VERIFIED');
    await admin.updateSettings({ settings: { emailVerification: false } }, asService);
    expect((await invite()).mailed).toBe(true);
    const silent = await start({ env: { MAIL_MODE: 'off' } });
    const other = await silent.welcome(ada);
    const draft = { accountId: other.account.id, email: bob.email, role: MEMBER };
    const made = await silent.clients(wire).accounts.createAccountInvite(draft, other.as);
    expect(made.accountInviteCode).toMatch(/^ghi_/);
  });

  test('VerifyEmail is no first proof: password, name and members stay', async () => {
    const { service, accomplice, accountInviteCode, accountId, verifyAgain } = await hijacked(wire);
    const { auth, accounts } = service.clients(wire);
    await accounts.acceptAccountInvite({ accountInviteCode }, accomplice.as);
    await verifyAgain();
    await auth.sendVerificationEmail({ email: ada.email });
    await auth.verifyEmail({ token: await tokenFor(service, ada.email) });
    const { as, user } = await service.signIn(ada);
    expect(user.name).toBe('Mallory');
    expect((await accounts.listMembers({ accountId }, as)).members).toHaveLength(2);
  });

  test('an invitation that is being accepted during the first proof brings nobody into the account', async () => {
    const pause = new Pause('AcceptAccountInvite', 'commit');
    const options = { replicas: 2, inner: [pause.interceptor()] };
    const { service, accomplice, accountInviteCode, accountId } = await hijacked(wire, options);
    const { auth, accounts } = service.clients(wire, 1);
    await auth.requestMagicLink({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const reached = pause.next();
    const accepting = service.clients(wire).accounts.acceptAccountInvite({ accountInviteCode }, accomplice.as);
    await reached;
    const proving = auth.signInWithMagicLink({ token });
    await service.database.blocked(1);
    pause.resume();
    await accepting;
    const as = bearer((await proving).tokens!);
    expect((await accounts.listMembers({ accountId }, as)).members).toHaveLength(1);
  });

  test('an invitation that is being created during the first proof is refused', async () => {
    const pause = new Pause('SignInWithMagicLink', 'commit');
    const options = { replicas: 2, inner: [pause.interceptor()] };
    const { service, trojan, accountId, verifyAgain } = await hijacked(wire, options);
    await verifyAgain();
    const { auth } = service.clients(wire);
    await auth.requestMagicLink({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const reached = pause.next();
    const proving = auth.signInWithMagicLink({ token });
    await reached;
    const draft = { accountId, email: carol.email, role: MEMBER };
    const inviting = refusalOf(service.clients(wire, 1).accounts.createAccountInvite(draft, trojan.as));
    await service.database.blocked(1);
    pause.resume();
    await proving;
    expect((await inviting).reason).toBe('SESSION_REVOKED');
    const pending = 'select id from account_invites where used_at is null and revoked_at is null';
    expect(await service.database.query(pending)).toEqual([]);
  });
});
