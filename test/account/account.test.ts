// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const { OWNER, ADMIN, MEMBER, VIEWER } = AccountRole;
const carol = { email: 'carol@example.org', password: 'a long enough phrase', name: 'Carol' };
const nobody = '01900000-0000-7000-8000-000000000000';

/** Ada owns the account. Bob and Carol are members in these roles, and have accounts of their own. */
async function startWithThree(
  roles: [bob: AccountRole, carol: AccountRole],
  options: Parameters<typeof start>[0] = {},
) {
  const service = await start(options);
  const owner = await service.welcome(ada);
  const accountId = owner.account.id;
  const people = [];
  for (const [i, person] of [bob, carol].entries()) {
    const each = await service.welcome(person);
    await service.clients('json').accounts.addMember({ accountId, userId: each.user.id, role: roles[i]! }, asService);
    people.push(each);
  }
  return { service, owner, bob: people[0]!, carol: people[1]!, accountId };
}

describe.each(wires)('over %s', (wire) => {
  test('an account looks unknown to users who are not its members', async () => {
    const service = await start();
    const { account } = await service.welcome(ada);
    const { as, user } = await service.welcome(bob);
    const { accounts } = service.clients(wire);
    for (const accountId of [account.id, nobody])
      for (const call of [
        () => accounts.getAccount({ accountId }, as),
        () => accounts.updateAccount({ accountId, name: 'Mine' }, as),
        () => accounts.switchAccount({ accountId }, as),
        () => accounts.listMembers({ accountId }, as),
        () => accounts.updateMember({ accountId, userId: user.id, role: OWNER }, as),
        () => accounts.updateMember({ accountId, userId: account.ownerId, role: VIEWER }, as),
        () => accounts.removeMember({ accountId, userId: account.ownerId }, as),
        () => accounts.removeMember({ accountId, userId: user.id }, as),
        () => accounts.createAccountInvite({ accountId, email: bob.email, role: VIEWER }, as),
        () => accounts.listAccountInvites({ accountId }, as),
        () => accounts.revokeAccountInvite({ accountId, inviteId: nobody }, as),
      ])
        expect(await refusalWithoutTrace(service.database, call)).toMatchObject({
          code: Code.NotFound,
          reason: 'ACCOUNT_NOT_FOUND',
          message: 'no such account',
        });
  });

  test('members read the account and list its members; owners and admins rename it', async () => {
    const { service, owner, bob, carol, accountId } = await startWithThree([ADMIN, VIEWER]);
    const { accounts } = service.clients(wire);
    const { members } = await accounts.listMembers({ accountId }, carol.as);
    expect(members.map(({ userId, role, email }) => [userId, role, email])).toEqual([
      [carol.user.id, VIEWER, carol.user.email],
      [bob.user.id, ADMIN, bob.user.email],
      [owner.user.id, OWNER, owner.user.email],
    ]);
    const first = await accounts.listMembers({ accountId, pageSize: 2 }, carol.as);
    const { nextPageToken: pageToken } = first;
    const rest = await accounts.listMembers({ accountId, pageSize: 2, pageToken }, carol.as);
    expect([...first.members, ...rest.members]).toEqual(members);
    const rename = (as: object) => accounts.updateAccount({ accountId, name: 'Engines' }, as);
    expect((await refusalWithoutTrace(service.database, () => rename(carol.as))).reason).toBe('ROLE_NOT_SUFFICIENT');
    expect((await rename(bob.as)).account).toMatchObject({ name: 'Engines', role: ADMIN });
    expect((await accounts.getAccount({ accountId }, carol.as)).account).toMatchObject({
      name: 'Engines',
      role: VIEWER,
    });
  });

  test('an admin changes members and viewers only, into roles below admin; members and viewers change nobody', async () => {
    const { service, owner, bob, carol, accountId } = await startWithThree([ADMIN, MEMBER]);
    const { accounts } = service.clients(wire);
    const dave = await service.welcome({ email: 'dave@example.org', password: 'a long enough phrase' });
    await accounts.addMember({ accountId, userId: dave.user.id, role: ADMIN }, asService);
    type Try = [who: { as: object }, whom: { user: { id: string; email: string } }, role: AccountRole | undefined];
    const refused: Try[] = [
      [carol, carol, OWNER],
      [carol, carol, VIEWER],
      [carol, bob, VIEWER],
      [carol, owner, undefined],
      [bob, bob, OWNER],
      [bob, carol, OWNER],
      [bob, carol, ADMIN],
      [bob, dave, MEMBER],
      [bob, dave, undefined],
      [bob, owner, MEMBER],
      [bob, owner, undefined],
    ];
    for (const [{ as }, { user }, role] of refused) {
      const place = { accountId, userId: user.id };
      const call = () => (role ? accounts.updateMember({ ...place, role }, as) : accounts.removeMember(place, as));
      expect(await refusalWithoutTrace(service.database, call), `${user.email} ${role}`).toMatchObject({
        code: Code.PermissionDenied,
        reason: 'ROLE_NOT_SUFFICIENT',
      });
    }
    const missing = () => accounts.updateMember({ accountId, userId: nobody, role: VIEWER }, bob.as);
    expect((await refusalWithoutTrace(service.database, missing)).reason).toBe('MEMBER_NOT_FOUND');
    const { member } = await accounts.updateMember({ accountId, userId: carol.user.id, role: VIEWER }, bob.as);
    expect(member).toMatchObject({ userId: carol.user.id, role: VIEWER });
    await accounts.removeMember({ accountId, userId: carol.user.id.toUpperCase() }, bob.as);
    await accounts.updateMember({ accountId, userId: dave.user.id, role: OWNER }, owner.as);
    await accounts.updateMember({ accountId, userId: owner.user.id, role: MEMBER }, dave.as);
    const { account } = await accounts.getAccount({ accountId }, owner.as);
    expect(account).toMatchObject({ role: MEMBER, ownerId: dave.user.id });
  });

  test('the last owner can neither leave nor step down', async () => {
    const { service, owner, bob, accountId } = await startWithThree([ADMIN, MEMBER]);
    const { accounts } = service.clients(wire);
    const own = { accountId, userId: owner.user.id };
    for (const call of [
      () => accounts.removeMember(own, owner.as),
      () => accounts.updateMember({ ...own, role: ADMIN }, owner.as),
    ])
      expect(await refusalWithoutTrace(service.database, call)).toMatchObject({
        code: Code.FailedPrecondition,
        reason: 'LAST_OWNER',
      });
    await accounts.updateMember({ ...own, role: OWNER }, owner.as);
    await accounts.updateMember({ accountId, userId: bob.user.id, role: OWNER }, owner.as);
    await accounts.removeMember(own, owner.as);
    const { account } = await accounts.getAccount({ accountId }, bob.as);
    expect(account!.ownerId).toBe(bob.user.id);
  });

  test("a banned owner does not count as another owner, and does not become the account's owner_id", async () => {
    const { service, owner, accountId, ...others } = await startWithThree([OWNER, OWNER]);
    const { accounts, admin } = service.clients(wire);
    const own = { accountId, userId: owner.user.id };
    for (const { user } of [others.bob, others.carol])
      await admin.banUser({ userId: user.id, duration: { seconds: 60n } }, asService);
    for (const call of [
      () => accounts.removeMember(own, owner.as),
      () => accounts.updateMember({ ...own, role: ADMIN }, owner.as),
    ])
      expect((await refusalWithoutTrace(service.database, call)).reason).toBe('LAST_OWNER');
    await admin.unbanUser({ userId: others.carol.user.id }, asService);
    await accounts.updateMember({ ...own, role: ADMIN }, owner.as);
    const { account } = await accounts.getAccount({ accountId }, owner.as);
    expect(account!.ownerId).toBe(others.carol.user.id);
    const { as } = await service.signIn(carol);
    await accounts.removeMember({ accountId, userId: others.bob.user.id }, as);
  });

  test("an owner can leave when another owner's ban has ended", async () => {
    const { service, owner, accountId, ...others } = await startWithThree([OWNER, MEMBER]);
    const { accounts, admin } = service.clients(wire);
    await admin.banUser({ userId: others.bob.user.id, duration: { seconds: 60n } }, asService);
    service.pass(61);
    await accounts.removeMember({ accountId, userId: owner.user.id }, owner.as);
    expect((await accounts.getAccount({ accountId }, (await service.signIn(bob)).as)).account!.ownerId).toBe(
      others.bob.user.id,
    );
  });

  test.each(['removeMember', 'updateMember'] as const)(
    'of two owners who step down in parallel one stays an owner (%s)',
    async (method) => {
      const barrier = new Barrier(method === 'removeMember' ? 'RemoveMember' : 'UpdateMember');
      const inner = [barrier.interceptor()];
      const { service, owner, bob, accountId } = await startWithThree([OWNER, MEMBER], { replicas: 2, inner });
      barrier.expect(crowd);
      const { errors } = await together(async (i): Promise<unknown> => {
        const { as, user } = i % 2 ? owner : bob;
        const place = { accountId, userId: user.id };
        const { accounts } = service.clients(wire, i);
        return method === 'removeMember'
          ? accounts.removeMember(place, as)
          : accounts.updateMember({ ...place, role: VIEWER }, as);
      });
      expect(errors.map(reasonOf)).toContain('LAST_OWNER');
      const owners = `select from memberships where account_id = $1 and role = 'owner'`;
      expect(await service.database.query(owners, [accountId])).toHaveLength(1);
    },
  );

  test('a user who leaves their only account owns a new one, without another trial', async () => {
    const service = await start();
    const { accounts, auth } = service.clients(wire);
    const { account, as } = await service.welcome(ada);
    const draft = { accountId: account.id, email: bob.email, role: MEMBER };
    const { accountInviteCode } = await accounts.createAccountInvite(draft, asService);
    await auth.register({ ...bob, accountInviteCode });
    const joined = await service.signIn(bob);
    expect(joined.account.id).toBe(account.id);
    await accounts.removeMember({ accountId: account.id, userId: joined.user.id }, as);
    const { account: own } = (await auth.getMe({}, joined.as)).account!;
    expect(own).toMatchObject({ name: "Bob's Account", role: OWNER, ownerId: joined.user.id });
    expect(own!.id).not.toBe(account.id);
    expect(own!.subscription!.currentPeriodEndTime).toBeUndefined();
    expect((await refusalOf(accounts.getAccount({ accountId: account.id }, joined.as))).reason).toBe(
      'ACCOUNT_NOT_FOUND',
    );
  });

  test('a user switches between their accounts, and is in another one when they are removed from the current one', async () => {
    const { service, owner, bob, accountId } = await startWithThree([MEMBER, MEMBER]);
    const { accounts, auth } = service.clients(wire);
    const current = async () => (await auth.getMe({}, bob.as)).account!.account!.id;
    expect(await current()).toBe(bob.account.id);
    const { account } = await accounts.switchAccount({ accountId }, bob.as);
    expect(account).toMatchObject({ id: accountId, role: MEMBER });
    expect(await current()).toBe(accountId);
    const { accounts: first, nextPageToken: pageToken } = await accounts.listAccounts({ pageSize: 1 }, bob.as);
    const { accounts: second } = await accounts.listAccounts({ pageSize: 1, pageToken }, bob.as);
    expect([...first, ...second].map(({ id }) => id)).toEqual([accountId, bob.account.id]);
    await accounts.removeMember({ accountId, userId: bob.user.id }, owner.as);
    expect(await current()).toBe(bob.account.id);
  });

  test.each(['another', 'that'])(
    'a user who is removed from an account while they switch to it is not in it: from %s account',
    async (from) => {
      const pause = new Pause('RemoveMember', 'commit');
      const inner = [pause.interceptor()];
      const { service, owner, bob, accountId } = await startWithThree([MEMBER, MEMBER], { replicas: 2, inner });
      const { accounts, auth } = service.clients(wire);
      if (from === 'that') await accounts.switchAccount({ accountId }, bob.as);
      const reached = pause.next();
      const removal = accounts.removeMember({ accountId, userId: bob.user.id }, owner.as);
      await reached;
      const entering = refusalOf(service.clients(wire, 1).accounts.switchAccount({ accountId }, bob.as));
      await service.database.blocked(1);
      pause.resume();
      await removal;
      expect((await entering).reason).toBe('ACCOUNT_NOT_FOUND');
      expect((await auth.getMe({}, bob.as)).account!.account!.id).toBe(bob.account.id);
    },
  );

  test('a backend adds users in any role, but no guests, and no user twice', async () => {
    const service = await start();
    const { accounts } = service.clients(wire);
    const { account } = await service.welcome(ada);
    const { user } = await service.welcome(bob);
    const guest = await service.guest();
    const add = (accountId: string, userId: string) => () =>
      accounts.addMember({ accountId, userId, role: OWNER }, asService);
    expect((await add(account.id, user.id)()).member).toMatchObject({ userId: user.id, role: OWNER, name: 'Bob' });
    for (const [call, reason] of [
      [add(account.id, user.id), 'ALREADY_A_MEMBER'],
      [add(account.id, guest.user.id), 'REGISTRATION_REQUIRED'],
      [add(account.id, nobody), 'USER_NOT_FOUND'],
      [add(nobody, user.id), 'ACCOUNT_NOT_FOUND'],
    ] as const)
      expect((await refusalWithoutTrace(service.database, call)).reason).toBe(reason);
  });

  test('a deleted user is in no account, and an account without an owner gets one from a backend', async () => {
    const { service, owner, bob, carol, accountId } = await startWithThree([ADMIN, MEMBER]);
    const { accounts, admin } = service.clients(wire);
    await admin.deleteUser({ userId: carol.user.id }, asService);
    await admin.deleteUser({ userId: owner.user.id }, asService);
    expect((await accounts.listMembers({ accountId }, bob.as)).members).toHaveLength(1);
    expect((await accounts.getAccount({ accountId }, bob.as)).account).toMatchObject({ ownerId: '', role: ADMIN });
    const dave = await service.welcome({ email: 'dave@example.org', password: 'a long enough phrase' });
    await accounts.addMember({ accountId, userId: dave.user.id, role: OWNER }, asService);
    expect((await accounts.getAccount({ accountId }, bob.as)).account!.ownerId).toBe(dave.user.id);
  });

  test('deleting a user while they accept an invitation leaves no membership behind', async () => {
    const service = await start({ replicas: 2 });
    for (let round = 0; round < 5; round++) {
      const host = await service.welcome({ ...ada, email: `host${round}@example.org` });
      const guest = await service.welcome({ ...bob, email: `guest${round}@example.org` });
      await service.database.query('update users set email_verified_at = now() where id = $1', [guest.user.id]);
      const { accounts } = service.clients(wire);
      const draft = { accountId: host.account.id, email: guest.user.email, role: MEMBER };
      const { accountInviteCode } = await accounts.createAccountInvite(draft, asService);
      await together(async (i) => {
        const { accounts, admin } = service.clients(wire, i);
        if (i === 0) await admin.deleteUser({ userId: guest.user.id }, asService);
        else await accounts.acceptAccountInvite({ accountInviteCode }, guest.as);
      }, 4);
    }
    // The check after every test finds a deleted user who is still a member.
  });
});
