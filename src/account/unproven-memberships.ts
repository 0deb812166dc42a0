import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { lockUsers, type User } from '../user/user.ts';
import { accountNameOf } from './account.ts';
import { revokePending } from './invites/invite.ts';
import type { Joining } from './invites/joining.ts';
import { lockAccountsOf, nextOwner } from './members.ts';

/**
 * SQL: how the member `m` joined. A replica of the version before does not store it; then an owner counts as the user who
 * opened the account, and every other member as invited.
 */
const joinedBy = (m: string) => `coalesce(${m}.joined_by, case ${m}.role when 'owner' then 'opened' else 'invite' end)`;

/**
 * SQL: whether the membership `m` of the account `a` outlasts the first proof of the user's mailbox, for statements with
 * the parameters userId and emailKey.
 */
const outlastsProof = (m: string, a: string) =>
  `(case ${joinedBy(m)} when 'service' then true when 'opened' then ${m}.role = 'owner' and ${a}.owner_id = :userId
       else ${m}.mailed_to = :emailKey end) is true`;

/** SQL: the memberships of the user in accounts that they own after the first proof. */
const owned = `select m.id, m.account_id, ${joinedBy('m')} = 'opened' as "isFirst"
     from memberships m join accounts a on a.id = m.account_id
     where m.user_id = :userId and m.role = 'owner' and a.owner_id = :userId and ${outlastsProof('m', 'a')}`;

interface Proved {
  readonly userId: string;
  readonly emailKey: string;
  readonly now: Date;
}

const revokeInvites = statement<{ id: string }, Proved>(
  'unproven_invites_revoke',
  `with owned as (${owned}), ${revokePending(
    'i.inviter_id is not null and i.account_id in (select account_id from owned)',
  )} select id from revoked`,
);

// A user who was removed from the account they are in enters another one of theirs, null when they belong to no other.
const removeOthers = statement<{ userId: string; accountId: string; isHomeless: boolean }, Omit<Proved, 'now'>>(
  'unproven_members_remove',
  `with owned as (${owned}), removed as (
     delete from memberships o using owned
     where o.account_id = owned.account_id and o.user_id <> :userId and (owned."isFirst" or o.id > owned.id)
     returning o.account_id, o.user_id
   ), moved as (
     update users u set current_account_id = (
       select k.account_id from memberships k
       where k.user_id = u.id and (k.account_id, k.user_id) not in (select account_id, user_id from removed)
       order by k.id desc limit 1)
     from removed where u.id = removed.user_id and u.current_account_id = removed.account_id
     returning u.id, u.current_account_id
   )
   select removed.user_id as "userId", removed.account_id as "accountId",
     moved.id is not null and moved.current_account_id is null as "isHomeless"
   from removed left join moved on moved.id = removed.user_id`,
);

const renameOwned = statement<{ id: string }, Proved & { name: string }>(
  'unproven_accounts_rename',
  `with owned as (${owned})
   update accounts a set name = :name, updated_at = :now from owned where owned."isFirst" and a.id = owned.account_id
   returning a.id`,
);

const leaveOthers = statement<{ isHomeless: boolean }, Omit<Proved, 'now'>>(
  'unproven_memberships_leave',
  `with left_accounts as (
     delete from memberships m using accounts a
     where a.id = m.account_id and m.user_id = :userId and not (${outlastsProof('m', 'a')})
     returning m.account_id
   ), settled as (
     update accounts a set owner_id = (
       ${nextOwner('a.id', ':userId')})
     from left_accounts where a.id = left_accounts.account_id and a.owner_id = :userId
   )
   update users set current_account_id = (
     select k.account_id from memberships k
     where k.user_id = :userId and k.account_id not in (select account_id from left_accounts)
     order by k.id desc limit 1)
   where id = :userId and current_account_id in (select account_id from left_accounts)
   returning current_account_id is null as "isHomeless"`,
);

/**
 * Ends what a user shares with others in accounts since before they proved their mailbox: the other members of their own
 * accounts, the pending invitations there, and their memberships by invitations that were not mailed to their address. The
 * caller holds the lock on the user's row. Returns the members who were removed.
 *
 * The order is the protection: an invitation that is being accepted holds its row, so the revocation waits for it, and the
 * removal sees the member.
 */
export async function endUnprovenMemberships(
  em: EntityManager,
  joining: Joining,
  user: User,
  now: Date,
): Promise<readonly { readonly userId: string; readonly accountId: string }[]> {
  const { id: userId, projectId } = user;
  const proved = { userId, emailKey: user.emailKey ?? '' };
  await lockAccountsOf(em, { userId });
  await revokeInvites(em, { ...proved, now });
  const removed = await removeOthers(em, proved);
  await renameOwned(em, { ...proved, name: accountNameOf(user), now });
  const [left] = await leaveOthers(em, proved);
  if (left?.isHomeless) await joining.rehome(em, user, now);
  const homeless = new Set(removed.filter((each) => each.isHomeless).map((each) => each.userId));
  for (const each of (await lockUsers(em, projectId, [...homeless])).values()) await joining.rehome(em, each, now);
  return removed;
}
