import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { tokenFor } from './inbox.ts';
import type { Run } from './methods.ts';
import { asService } from './people.ts';
import { refusalOf } from './refusal.ts';
import { repeatMethods } from './repeated-methods.ts';
import type { bearer, TestService, Wire } from './start.ts';
import { webhook } from './webhook.ts';

let count = 0;
const person = (name: string) => ({
  email: `${name}-${++count}@example.org`,
  password: `${name} has a long one`,
  name,
});

/** Runs every method of AccountService in an order in which each succeeds. */
export async function callAccountMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { accounts, auth } = service.clients(wire);
  const { account, as, user } = await service.welcome({ ...person('carol'), emailVerified: true });
  const { id: accountId } = account;
  await step('GetAccount', () => accounts.getAccount({ accountId }, as));
  await step('ListAccounts', () => accounts.listAccounts({}, as));
  await step('GetAccount (backend)', () => accounts.getAccount({ accountId }, asService));
  await step('ListAccounts (backend)', () => accounts.listAccounts({ userId: user.id }, asService));
  await step('ListMembers (backend)', () => accounts.listMembers({ accountId }, asService));
  await step('UpdateAccount', () => accounts.updateAccount({ accountId, name: 'Engines' }, as));
  const dave = person('dave');
  const asMember = { accountId, role: AccountRole.MEMBER };
  await step('CreateAccountInvite', () => accounts.createAccountInvite({ ...asMember, email: dave.email }, as));
  const accountInviteCode = await tokenFor(service, dave.email);
  await step('Register (account invite)', () => auth.register({ ...dave, accountInviteCode }));
  await step('ListMembers', () => accounts.listMembers({ accountId }, as));
  const erin = await service.welcome(person('erin'));
  await service.database.query('update users set email_verified_at = now() where id = $1', [erin.user.id]);
  await step('CreateAccountInvite (for a user)', () =>
    accounts.createAccountInvite({ ...asMember, email: erin.user.email }, as),
  );
  const code = await tokenFor(service, erin.user.email);
  await step('AcceptAccountInvite', () => accounts.acceptAccountInvite({ accountInviteCode: code }, erin.as));
  const anna = person('anna');
  const handed = await step('CreateAccountInvite (by a backend)', () =>
    accounts.createAccountInvite({ ...asMember, email: anna.email }, asService),
  );
  await step('Register (code of a backend)', () =>
    auth.register({ ...anna, accountInviteCode: handed.accountInviteCode }),
  );
  await step('SwitchAccount', () => accounts.switchAccount({ accountId: erin.account.id }, erin.as));
  const frank = await service.welcome(person('frank'));
  await step('AddMember', () => accounts.addMember({ ...asMember, userId: frank.user.id }, asService));
  await step('UpdateMember', () =>
    accounts.updateMember({ accountId, userId: frank.user.id, role: AccountRole.ADMIN }, as),
  );
  await step('RemoveMember', () => accounts.removeMember({ accountId, userId: frank.user.id }, as));
  const { user: homeless } = await service.signIn(dave);
  await step('RemoveMember (from the only account)', () =>
    accounts.removeMember({ accountId, userId: homeless.id }, as),
  );
  const { invite } = await accounts.createAccountInvite({ ...asMember, email: 'gil@example.org' }, as);
  await step('ListAccountInvites', () => accounts.listAccountInvites({ accountId }, as));
  await step('RevokeAccountInvite', () => accounts.revokeAccountInvite({ accountId, inviteId: invite!.id }, as));
  await callUsageMethods(service, wire, step, { as, accountId, userId: user.id });
  await repeatMethods(service, wire, step, { as, accountId });
}

async function callUsageMethods(
  service: TestService,
  wire: Wire,
  step: Run,
  who: { as: ReturnType<typeof bearer>; accountId: string; userId: string },
): Promise<void> {
  const { accounts } = service.clients(wire);
  const subject = { case: 'fingerprint', value: `machine-${++count}` } as const;
  await step('ConsumeUsage (first of a month)', () => accounts.consumeUsage({ amount: 1 }, who.as));
  await step('ConsumeUsage', () => accounts.consumeUsage({ amount: 1 }, who.as));
  await step('GetUsage', () => accounts.getUsage({}, who.as));
  await step('ConsumeUsage (fingerprint, first of a month)', () =>
    accounts.consumeUsage({ amount: 1, subject }, asService),
  );
  await step('ConsumeUsage (fingerprint)', () => accounts.consumeUsage({ amount: 1, subject }, asService));
  await step('GetUsage (fingerprint)', () => accounts.getUsage({ subject }, asService));
  await step('GetReferral (first)', () => accounts.getReferral({}, who.as));
  const { code } = await step('GetReferral', () => accounts.getReferral({}, who.as));
  const heidi = await service.welcome(person('heidi'));
  await step('RedeemReferral', () => accounts.redeemReferral({ code }, heidi.as));
  const data = { account_id: who.accountId, status: 'active' };
  await step('ApplyBillingEvent', () => accounts.applyBillingEvent(webhook({ data, timestamp: service.now() })));
}

export async function callInviteCodeMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { admin, auth } = service.clients(wire);
  const { inviteCode } = await step('CreateInviteCode', () => admin.createInviteCode({}, asService));
  const ivan = { ...person('ivan'), inviteCode: inviteCode!.code };
  await step('Register (invite code)', () => auth.register(ivan));
  await step('ListInviteCodes', () => admin.listInviteCodes({}, asService));
}

/** The refusals that ask the database why. */
export async function failAccountMethods(service: TestService, wire: Wire): Promise<void> {
  const { accounts, auth } = service.clients(wire);
  const { account, user, as } = await service.welcome(person('judy'));
  await refusalOf(auth.register({ ...person('kim'), accountInviteCode: 'none' }));
  await refusalOf(auth.register({ ...person('kim'), inviteCode: 'none' }));
  await refusalOf(accounts.redeemReferral({ code: 'none' }, as));
  await accounts.consumeUsage({ amount: 1, subject: { case: 'userId', value: user.id } }, asService);
  const data = { account_id: account.id, status: 'active' };
  const earlier = new Date(service.now().getTime() - 1000);
  await accounts.applyBillingEvent(webhook({ data, timestamp: service.now() }));
  await accounts.applyBillingEvent(webhook({ data, timestamp: earlier }));
}

/**
 * SQL that gives each of twenty thousand users, whose ids pg_temp.id(1, n) makes, an account, and a tenth of them one of
 * everything else. Without looking each reference up.
 */
export function populateAccounts(project: string): string {
  const rows = 'from generate_series(1, 20000) n';
  const some = 'from generate_series(1, 2000) n';
  return `
    set session_replication_role = replica;
    insert into accounts (id, project_id, name, display_code, owner_id, created_at, updated_at)
      select pg_temp.id(4, n), ${project}, 'n', lpad(n::text, 8, '0'), pg_temp.id(1, n), now(), now() ${rows};
    insert into memberships (id, project_id, account_id, user_id, role, created_at)
      select pg_temp.id(5, n), ${project}, pg_temp.id(4, n), pg_temp.id(1, n), 'owner', now() ${rows};
    insert into subscriptions (account_id, project_id, plan, status, created_at, updated_at)
      select pg_temp.id(4, n), ${project}, 'pro', 'active', now(), now() ${rows};
    update users set current_account_id = m.account_id from memberships m where m.user_id = users.id;
    insert into account_invites (id, project_id, account_id, code_hash, email, email_key, role, inviter_id, created_at, expires_at)
      select pg_temp.id(6, n), ${project}, pg_temp.id(4, n), sha256(n::text::bytea), n || '@example.com', n || '@example.com',
        'viewer', pg_temp.id(1, n), now(), now() ${some};
    insert into invite_codes (id, project_id, code, created_at) select pg_temp.id(7, n), ${project}, n::text, now() ${some};
    insert into usage_counters select ${project}, 'user:' || pg_temp.id(1, n), n, now(), now() + n * interval '1 minute' ${some};
    insert into referral_codes select pg_temp.id(1, n), ${project}, n::text, now() ${some};
    insert into referrals select pg_temp.id(1, n), ${project}, pg_temp.id(1, n + 1), now() ${some};
    insert into request_ids select ${project}, 'service:' || n, 'CreateUser', gen_random_uuid(), '', '{}', now() ${rows};
    insert into billing_events select ${project}, n::text, now() ${some};
    set session_replication_role = origin;`;
}
