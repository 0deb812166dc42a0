import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { cancelMails } from '../mail/mail.ts';
import { caller } from '../rpc/context.ts';
import { revokedBy } from './invites/invites.ts';
import { isAtLeast, mayGrant, type Role } from './membership.ts';

/** A user in an account. */
export interface Place {
  readonly projectId: string;
  readonly accountId: string;
  readonly userId: string;
}

/** The caller's own. */
export function ownPlace(context: HandlerContext, accountId: string): Place {
  const { projectId, userId } = caller(context);
  return { projectId, accountId, userId };
}

export interface ShownMember {
  readonly membershipId: string;
  readonly userId: string;
  readonly email: string | null;
  readonly name: string;
  readonly role: Role;
  readonly joinedAt: Date | string;
}

const columns = `m.id as "membershipId", m.user_id as "userId", u.email, u.name, m.role, m.created_at as "joinedAt"`;

const list = statement<ShownMember>(
  'members_list',
  `select ${columns} from memberships m join users u on u.id = m.user_id
   where m.account_id = $1 and ($2::uuid is null or m.id < $2) order by m.id desc limit $3`,
);

export function listMembers(
  autocommit: Autocommit,
  accountId: string,
  page: { after: string | undefined; limit: number },
) {
  return list(autocommit, [accountId, page.after ?? null, page.limit]);
}

const one = statement<ShownMember>(
  'member_look',
  `select ${columns} from memberships m join users u on u.id = m.user_id
   where m.project_id = $1 and m.account_id = $2 and m.user_id = $3`,
);

export async function findMember(on: EntityManager | Autocommit, { projectId, accountId, userId }: Place) {
  const [found] = await one(on, [projectId, accountId, userId]);
  if (!found) throw new Refusal('MEMBER_NOT_FOUND');
  return found;
}

/** Throws ACCOUNT_NOT_FOUND to who does not belong to the account, and ROLE_NOT_SUFFICIENT to who is less there. */
export async function requireRole(on: EntityManager | Autocommit, place: Place, least: Role): Promise<Role> {
  const [found] = await one(on, [place.projectId, place.accountId, place.userId]);
  if (!found) throw new Refusal('ACCOUNT_NOT_FOUND');
  if (!isAtLeast(found.role, least)) throw new Refusal('ROLE_NOT_SUFFICIENT');
  return found.role;
}

const lockMembers = statement<{ userId: string; role: Role; isBanned: boolean }>(
  'members_lock',
  `select m.user_id as "userId", m.role, coalesce(u.banned_until > $5, false) as "isBanned"
   from memberships m join accounts a on a.id = m.account_id join users u on u.id = m.user_id
   where m.project_id = $1 and m.account_id = $2 and (m.user_id in ($3, $4) or m.role = 'owner')
   order by m.id for no key update of m, a`,
);

export interface Change {
  readonly projectId: string;
  readonly accountId: string;
  /** Who asks for it. */
  readonly by: string;
  /** Whose place changes. */
  readonly userId: string;
}

/**
 * Lets a change of somebody's place pass, and holds the rows it depends on until the transaction ends: the account, the
 * places of who asks and of whom it is about, and those of all owners. So of two owners who step down at once one is the
 * last, and nobody acts in a role that is being taken away. Owners who are banned cannot act, and so are none to leave an
 * account to. `granted` is the new role; none is to leave.
 */
export async function permitChange(
  em: EntityManager,
  change: Change,
  granted: Role | undefined,
  now: Date,
): Promise<void> {
  const { projectId, accountId, by, userId } = change;
  const rows = await lockMembers(em, [projectId, accountId, by, userId, now]);
  const own = rows.find((each) => each.userId === by)?.role;
  const current = rows.find((each) => each.userId === userId)?.role;
  if (!own) throw new Refusal('ACCOUNT_NOT_FOUND');
  const isLeaving = by === userId && !granted;
  if (!isLeaving && !isAtLeast(own, 'admin')) throw new Refusal('ROLE_NOT_SUFFICIENT');
  if (!current) throw new Refusal('MEMBER_NOT_FOUND');
  if (!isLeaving && !(mayGrant(own, current) && (!granted || mayGrant(own, granted))))
    throw new Refusal('ROLE_NOT_SUFFICIENT');
  const isOwnerLeft = rows.some((each) => each.role === 'owner' && each.userId !== userId && !each.isBanned);
  if (current === 'owner' && granted !== 'owner' && !isOwnerLeft) throw new Refusal('LAST_OWNER');
}

/** SQL of the owner who answers for an account when another no longer does: one who can act before any who is banned. */
const nextOwner = (accountId: string, former: string, now: string) =>
  `select m.user_id from memberships m join users u on u.id = m.user_id
       where m.account_id = ${accountId} and m.role = 'owner' and m.user_id <> ${former}
       order by coalesce(u.banned_until > ${now}, false), m.id limit 1`;

// The owner who answers for the account stays one: when they are none any more, another takes their place. Invitations end
// that their maker may no longer make.
const setRole = statement<{ id: string }>(
  'member_set_role',
  `with changed as (
     update memberships set role = $4::varchar where project_id = $1 and account_id = $2 and user_id = $3 returning id
   ), revoked as (
     update account_invites set revoked_at = $5
     where account_id = $2 and inviter_id = $3 and used_at is null and revoked_at is null
       and $4::varchar <> 'owner' and ($4::varchar <> 'admin' or role = 'admin')
     returning id
   ), cancelled as (${cancelMails('revoked', '$5')}), settled as (
     update accounts set owner_id = case when $4::varchar = 'owner' then coalesce(owner_id, $3) else (
       ${nextOwner('$2', '$3', '$5')}) end
     where id = $2 and (owner_id = $3 or owner_id is null)
   )
   select id from changed`,
);

export async function setMemberRole(em: EntityManager, place: Place, role: Role, now: Date): Promise<void> {
  await setRole(em, [place.projectId, place.accountId, place.userId, role, now]);
}

const lockAccount = statement<{ id: string }>(
  'account_lock',
  'select id from accounts where project_id = $1 and id = $2 for no key update',
);

const add = statement<{ id: string; joinedId: string | null }>(
  'member_add',
  `with found as (select id from accounts where project_id = $1 and id = $2), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, created_at)
     select $5, $1, id, $3, $4::varchar, $6 from found on conflict (project_id, account_id, user_id) do nothing returning id
   ), settled as (
     update accounts set owner_id = $3 from joined where accounts.id = $2 and accounts.owner_id is null and $4::varchar = 'owner'
   )
   select found.id, joined.id as "joinedId" from found left join joined on true`,
);

export async function addMember(em: EntityManager, place: Place, role: Role, now: Date): Promise<void> {
  const { projectId, accountId, userId } = place;
  // Whether the account is without an owner is then certain.
  await lockAccount(em, [projectId, accountId]);
  const [row] = await add(em, [projectId, accountId, userId, role, uuidv7(now), now]);
  if (!row) throw new Refusal('ACCOUNT_NOT_FOUND');
  if (!row.joinedId) throw new Refusal('ALREADY_A_MEMBER');
}

const leave = statement<{ accountId: string | null }>(
  'member_leave',
  `with gone as (
     delete from memberships where project_id = $1 and account_id = $2 and user_id = $3 returning id
   ), revoked as (
     update account_invites set revoked_at = $4
     where account_id = $2 and inviter_id = $3 and used_at is null and revoked_at is null
     returning id
   ), cancelled as (${cancelMails('revoked', '$4')}), settled as (
     update accounts set owner_id = (
       ${nextOwner('$2', '$3', '$4')})
     where id = $2 and owner_id = $3
   )
   update users set current_account_id = (
     select account_id from memberships where user_id = $3 and account_id <> $2 order by id desc limit 1)
   where id = $3 and current_account_id = $2 returning current_account_id as "accountId"`,
);

/** Takes a user out of an account. The caller holds the user's row. Says whether they belong to no account any more. */
export async function removeMember(em: EntityManager, place: Place, now: Date): Promise<{ isHomeless: boolean }> {
  const [moved] = await leave(em, [place.projectId, place.accountId, place.userId, now]);
  return { isHomeless: moved?.accountId === null };
}

const lockAccountsOf = statement<{ id: string }>(
  'user_accounts_lock',
  `select a.id from accounts a join memberships m on m.account_id = a.id where m.user_id = $1
   order by a.id for no key update of a`,
);

const leaveAll = statement<{ id: string }>(
  'user_leave_accounts',
  `with gone as (
     delete from memberships where user_id = $1 returning account_id
   ), ${revokedBy('$1', '$2')}
   update accounts a set owner_id = (
       ${nextOwner('a.id', '$1', '$2')})
   from gone where a.id = gone.account_id and a.owner_id = $1 returning a.id`,
);

/**
 * Takes a user who is being deleted out of all accounts; the caller holds the user's row. An account whose last owner goes
 * has none until a backend adds one: nobody is made one behind the others' backs.
 */
export async function leaveAccounts(em: EntityManager, userId: string, now: Date): Promise<void> {
  // Who becomes an owner meanwhile is then seen.
  await lockAccountsOf(em, [userId]);
  await leaveAll(em, [userId, now]);
}

// The user's row is locked before the membership is. Whoever takes a member out holds that row, and by the time they let go
// the membership is gone: an update that only joined it would still see it, and put the user back in.
const enter = statement<{ id: string }>(
  'account_enter',
  `with held as materialized (
     select u.id, m.account_id from users u join memberships m on m.user_id = u.id
     where u.id = $3 and m.project_id = $1 and m.account_id = $2 for no key update of u for key share of m
   )
   update users set current_account_id = held.account_id from held where users.id = held.id returning users.id`,
);

/** Makes one of a user's accounts the one they are in. */
export async function enterAccount(
  on: EntityManager | Autocommit,
  { projectId, accountId, userId }: Place,
): Promise<void> {
  const entered = await enter(on, [projectId, accountId, userId]);
  if (entered.length === 0) throw new Refusal('ACCOUNT_NOT_FOUND');
}
