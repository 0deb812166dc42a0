// @serializable
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { pendingLimit } from '../../src/account/invites/create-account-invite.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const { OWNER, ADMIN, MEMBER, VIEWER } = AccountRole;
const carol = { email: 'carol@example.org', password: 'a long enough phrase', name: 'Carol' };

async function verify({ database }: TestService, userId: string): Promise<void> {
  await database.query('update users set email_verified_at = now() where id = $1', [userId]);
}

/** Ada's account, and Bob with an account of his own and a verified address. */
async function startWithTwo(options: Parameters<typeof start>[0] = {}) {
  const service = await start({ ...options, env: { MAIL_GAP: '0s', MAIL_HOURLY_LIMIT: '100', ...options?.env } });
  const [owner, guest] = [await service.welcome({ ...ada, emailVerified: true }), await service.welcome(bob)];
  await verify(service, guest.user.id);
  return { service, owner, guest, accountId: owner.account.id };
}

describe.each(wires)('over %s', (wire) => {
  test('a backend is given the code of an invitation once, it is stored as a hash only, and linked to the application', async () => {
    const { service, owner, accountId } = await startWithTwo({ env: { FRONTEND_URL: 'https://app.example.com' } });
    const { accounts } = service.clients(wire);
    const made = await accounts.createAccountInvite({ accountId, email: carol.email, role: VIEWER }, asService);
    expect(made.accountInviteCode).toMatch(/^ghi_[\w-]{32}$/);
    expect(made.link).toBe(`https://app.example.com/invite?account_invite_code=${made.accountInviteCode}`);
    expect(made.invite).toMatchObject({ email: carol.email, role: VIEWER, inviterId: '' });
    const { createTime, expireTime } = made.invite!;
    expect(timestampDate(expireTime!).getTime() - timestampDate(createTime!).getTime()).toBe(7 * 86_400_000);
    expect((await accounts.listAccountInvites({ accountId }, owner.as)).invites).toEqual([made.invite]);
    const dump = await service.database.dump();
    for (const each of [made.accountInviteCode, made.accountInviteCode.slice(4)]) expect(dump).not.toContain(each);
  });

  test('an existing user with the invited, verified address joins, and is switched to the account', async () => {
    const { service, owner, guest, accountId } = await startWithTwo();
    const { accounts, auth } = service.clients(wire);
    await accounts.createAccountInvite({ accountId, email: bob.email, role: ADMIN }, owner.as);
    const accountInviteCode = await tokenFor(service, bob.email);
    const { account } = await accounts.acceptAccountInvite({ accountInviteCode }, guest.as);
    expect(account).toMatchObject({ id: accountId, role: ADMIN });
    expect((await auth.getMe({}, guest.as)).account!.account).toEqual(account);
    const mine = await accounts.listAccounts({}, guest.as);
    expect(mine.accounts.map(({ id, role }) => [id, role])).toEqual([
      [accountId, ADMIN],
      [guest.account.id, OWNER],
    ]);
    const again = () => accounts.acceptAccountInvite({ accountInviteCode }, guest.as);
    expect((await refusalWithoutTrace(service.database, again)).reason).toBe('ACCOUNT_INVITE_CODE_USED');
    const events = await service.database.query(`select user_id from audit_events where action = 'account.join'`);
    expect(events).toEqual([{ user_id: guest.user.id }]);
  });

  test('an invitation is refused to a user with another address, and to one whose address is not verified', async () => {
    const { service, guest, accountId } = await startWithTwo();
    const { accounts } = service.clients(wire);
    const stranger = await service.welcome(carol);
    await verify(service, stranger.user.id);
    const { accountInviteCode } = await accounts.createAccountInvite(
      { accountId, email: bob.email, role: MEMBER },
      asService,
    );
    const attempt = (as: object) => () => accounts.acceptAccountInvite({ accountInviteCode }, as);
    expect(await refusalWithoutTrace(service.database, attempt(stranger.as))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'INVITE_EMAIL_MISMATCH',
    });
    await service.database.query('update users set email_verified_at = null where id = $1', [guest.user.id]);
    expect(await refusalWithoutTrace(service.database, attempt(guest.as))).toMatchObject({
      code: Code.PermissionDenied,
      reason: 'EMAIL_NOT_VERIFIED',
    });
    expect(
      (await refusalOf(accounts.acceptAccountInvite({ accountInviteCode }, (await service.guest()).as))).reason,
    ).toBe('GUEST_NOT_ALLOWED');
    await verify(service, guest.user.id);
    await attempt(guest.as)();
  });

  test('owners invite up to admins, admins up to members, and members and viewers invite nobody', async () => {
    const { service, owner, guest, accountId } = await startWithTwo();
    const { accounts } = service.clients(wire);
    const invite = (role: AccountRole, as: object) => () =>
      accounts.createAccountInvite({ accountId, email: carol.email, role }, as);
    for (const role of [0, OWNER, 99] as AccountRole[])
      expect(await refusalWithoutTrace(service.database, invite(role, owner.as))).toMatchObject({
        code: Code.InvalidArgument,
        fields: ['role'],
      });
    expect((await refusalWithoutTrace(service.database, invite(VIEWER, guest.as))).reason).toBe('ACCOUNT_NOT_FOUND');
    await accounts.addMember({ accountId, userId: guest.user.id, role: VIEWER }, asService);
    for (const [own, granted] of [
      [VIEWER, VIEWER],
      [MEMBER, VIEWER],
      [ADMIN, ADMIN],
    ] as const) {
      await accounts.updateMember({ accountId, userId: guest.user.id, role: own }, owner.as);
      expect(await refusalWithoutTrace(service.database, invite(granted, guest.as))).toMatchObject({
        code: Code.PermissionDenied,
        reason: 'ROLE_NOT_SUFFICIENT',
      });
    }
    await invite(MEMBER, guest.as)();
  });

  test('invitations are revoked when the inviter is removed, demoted, banned or deleted', async () => {
    const { service, owner, guest, accountId } = await startWithTwo();
    const { accounts, admin } = service.clients(wire);
    const invited = await service.welcome(carol);
    await verify(service, invited.user.id);
    const userId = guest.user.id;
    for (const end of [
      () => accounts.updateMember({ accountId, userId, role: MEMBER }, owner.as),
      () => accounts.removeMember({ accountId, userId }, owner.as),
      () => accounts.removeMember({ accountId, userId }, guest.as),
      async () => {
        await admin.banUser({ userId }, asService);
        await admin.unbanUser({ userId }, asService);
        guest.as = (await service.signIn(bob)).as;
      },
      () => admin.deleteUser({ userId }, asService),
    ]) {
      await accounts.addMember({ accountId, userId, role: ADMIN }, asService).catch(() => {});
      await accounts.updateMember({ accountId, userId, role: ADMIN }, owner.as);
      const draft = { accountId, email: carol.email, role: MEMBER };
      await accounts.createAccountInvite(draft, guest.as);
      const accountInviteCode = await tokenFor(service, carol.email);
      await end();
      const accept = () => accounts.acceptAccountInvite({ accountInviteCode }, invited.as);
      expect((await refusalWithoutTrace(service.database, accept)).reason).toBe('INVALID_ACCOUNT_INVITE_CODE');
    }
  });

  test.each(['before', 'after'])(
    'an invitation that is created while the inviter is being banned is revoked by the ban, or refused: %s it',
    async (when) => {
      const isBefore = when === 'before';
      const pause = isBefore ? new Pause('CreateAccountInvite', 'commit') : new Pause('BanUser', 'commit');
      const { service, owner, accountId } = await startWithTwo({ replicas: 2, inner: [pause.interceptor()] });
      const { accounts, admin } = service.clients(wire);
      const draft = { accountId, email: carol.email, role: MEMBER };
      const invite = () => accounts.createAccountInvite(draft, owner.as).catch(reasonOf);
      const ban = () => admin.banUser({ userId: owner.user.id }, asService);
      const reached = pause.next();
      const first = isBefore ? invite() : ban();
      await reached;
      const second = isBefore ? ban() : invite();
      await service.database.blocked(1);
      pause.resume();
      const [made] = await Promise.all(isBefore ? [first, second] : [second, first]);
      if (!isBefore) expect(made).toBe('SESSION_REVOKED');
      const pending = 'select from account_invites where used_at is null and revoked_at is null';
      expect(await service.database.query(pending)).toEqual([]);
    },
  );

  test('of parallel calls that accept one invitation one succeeds', async () => {
    const barrier = new Barrier('AcceptAccountInvite');
    const { service, owner, guest, accountId } = await startWithTwo({ replicas: 2, inner: [barrier.interceptor()] });
    const draft = { accountId, email: bob.email, role: MEMBER };
    await service.clients(wire).accounts.createAccountInvite(draft, owner.as);
    const accountInviteCode = await tokenFor(service, bob.email);
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).accounts.acceptAccountInvite({ accountInviteCode }, guest.as),
    );
    expect(answers).toHaveLength(1);
    expect(errors.map(reasonOf)).toEqual(Array(crowd - 1).fill('ACCOUNT_INVITE_CODE_USED'));
    expect(await service.database.query('select from memberships where account_id = $1', [accountId])).toHaveLength(2);
  });

  test('an address has one pending invitation, a member has no invitation, and an expired one is replaced', async () => {
    const barrier = new Barrier('CreateAccountInvite');
    const { service, owner, accountId } = await startWithTwo({ replicas: 2, inner: [barrier.interceptor()] });
    const { accounts } = service.clients(wire);
    const draft = { accountId, email: carol.email, role: MEMBER };
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).accounts.createAccountInvite(draft, owner.as),
    );
    expect(answers).toHaveLength(1);
    expect(errors.map(reasonOf)).toEqual(Array(crowd - 1).fill('ALREADY_INVITED'));
    const self = () => accounts.createAccountInvite({ ...draft, email: ada.email }, owner.as);
    expect((await refusalWithoutTrace(service.database, self)).reason).toBe('ALREADY_A_MEMBER');
    service.pass(7 * 86_400);
    const { as } = await service.signIn();
    await accounts.createAccountInvite(draft, as);
  });

  test('an account has at most its limit of pending invitations, also after parallel calls', async () => {
    const barrier = new Barrier('CreateAccountInvite');
    const { service, owner, accountId } = await startWithTwo({ replicas: 2, inner: [barrier.interceptor()] });
    await service.database.query(
      `insert into account_invites (id, project_id, account_id, code_hash, email, email_key, role, inviter_id, created_at, expires_at)
       select gen_random_uuid(), project_id, account_id, sha256(n::text::bytea), n || '@x.org', n || '@x.org', 'viewer', user_id,
         now(), now() + interval '1 day' from memberships, generate_series(1, $2) n where account_id = $1`,
      [accountId, pendingLimit - 2],
    );
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service
        .clients(wire, i)
        .accounts.createAccountInvite({ accountId, email: `new${i}@example.org`, role: VIEWER }, owner.as),
    );
    expect(answers).toHaveLength(2);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['ACCOUNT_INVITE_LIMIT_REACHED']));
  });

  test('invitations are listed in pages, for owners and admins of the account only', async () => {
    const { service, owner, guest, accountId } = await startWithTwo();
    const { accounts } = service.clients(wire);
    const emails = ['a@example.org', 'b@example.org', 'c@example.org'];
    for (const email of emails) await accounts.createAccountInvite({ accountId, email, role: VIEWER }, owner.as);
    const first = await accounts.listAccountInvites({ accountId, pageSize: 2 }, owner.as);
    const { nextPageToken: pageToken } = first;
    const second = await accounts.listAccountInvites({ accountId, pageSize: 2, pageToken }, owner.as);
    expect([...first.invites, ...second.invites].map(({ email }) => email)).toEqual(emails.toReversed());
    expect(second.nextPageToken).toBe('');
    const spy = () => accounts.listAccountInvites({ accountId }, guest.as);
    expect((await refusalOf(spy())).reason).toBe('ACCOUNT_NOT_FOUND');
    await accounts.addMember({ accountId, userId: guest.user.id, role: MEMBER }, asService);
    expect((await refusalOf(spy())).reason).toBe('ROLE_NOT_SUFFICIENT');
    const { id: inviteId } = first.invites[0]!;
    const foreign = { accountId: guest.account.id, inviteId };
    expect((await refusalOf(accounts.revokeAccountInvite(foreign, guest.as))).reason).toBe('ACCOUNT_INVITE_NOT_FOUND');
    await accounts.revokeAccountInvite({ accountId, inviteId }, owner.as);
    const again = () => accounts.revokeAccountInvite({ accountId, inviteId }, owner.as);
    expect((await refusalWithoutTrace(service.database, again)).reason).toBe('ACCOUNT_INVITE_NOT_FOUND');
  });
});
