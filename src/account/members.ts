import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { caller } from '../rpc/context.ts';
import { isUuid } from '../text/uuid-text.ts';
import { mayActAt } from '../user/user.ts';
import { revokePending } from './invites/invite.ts';
import { isAtLeast, mayGrant, type Place, type Role } from './membership.ts';

/** The caller's own place in an account. */
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

/** The columns of a ShownMember, for statements that call the tables `m` and `u`. */
export const shownColumns = `m.id as "membershipId", m.user_id as "userId", u.email, u.name, m.role, m.created_at as "joinedAt"`;

const memberAt = statement<ShownMember, Place>(
  'member_look',
  `select ${shownColumns} from memberships m join users u on u.id = :userId
   where m.project_id = :projectId and m.account_id = :accountId and m.user_id = :userId`,
);

/** Throws MEMBER_NOT_FOUND. */
export async function findMember(on: EntityManager | Autocommit, place: Place): Promise<ShownMember> {
  const [found] = await memberAt(on, place);
  if (!found) throw new Refusal('MEMBER_NOT_FOUND');
  return found;
}

/** Throws ACCOUNT_NOT_FOUND unless the user is a member, and ROLE_NOT_SUFFICIENT for a member with a lower role. */
export async function requireRole(on: EntityManager | Autocommit, place: Place, least: Role): Promise<void> {
  const [found] = await memberAt(on, place);
  requireAtLeast(found?.role, least);
}

/** The same for the role that a statement has read, which is null for others than members. */
export function requireAtLeast(own: Role | null | undefined, least: Role): void {
  if (!own) throw new Refusal('ACCOUNT_NOT_FOUND');
  if (!isAtLeast(own, least)) throw new Refusal('ROLE_NOT_SUFFICIENT');
}

/** How the caller stands to the account that a list names. */
export interface Standing {
  /** Null for others than members. */
  readonly ownRole: Role | null;
}

/** For lists of an account: the account, and the role of the caller in it. */
export const ofAccount = {
  namedIn: accountIn,
  standing: `(select m.role from memberships m
       where m.project_id = u.project_id and m.account_id = :named::uuid and m.user_id = :userId) as "ownRole"`,
};

/** The account that a request names. Null for a malformed id, which is refused later, when the request is validated. */
export function accountIn(message: unknown): string | null {
  const { accountId } = message as { readonly accountId: string };
  return isUuid(accountId) ? accountId : null;
}

/** A request to change or to delete the membership at a place. */
export interface MemberRequest extends Place {
  readonly callerId: string;
}

export function memberRequestOf(context: HandlerContext, place: Omit<Place, 'projectId'>): MemberRequest {
  const { projectId, userId: callerId } = caller(context);
  // A UUID has two spellings, and the rules compare ids.
  return { projectId, accountId: place.accountId, userId: place.userId.toLowerCase(), callerId };
}

const lockMembers = statement<{ userId: string; role: Role; mayAct: boolean }, MemberRequest & { now: Date }>(
  'members_lock',
  `select m.user_id as "userId", m.role,
     ${mayActAt('u')} as "mayAct"
   from memberships m join accounts a on a.id = m.account_id join users u on u.id = m.user_id
   where m.project_id = :projectId and m.account_id = :accountId and (m.user_id in (:callerId, :userId) or m.role = 'owner')
   order by m.id for no key update of m, a`,
);

/**
 * Throws unless the caller may give the member the role, or, without a role, remove the member. Locks the account, and the
 * memberships of the caller, the member and all owners until the transaction ends: so of two owners who step down at once
 * one is refused with LAST_OWNER, and no caller acts in a role that is being taken away. An owner who is banned does not
 * count as another owner.
 */
export async function permit(
  em: EntityManager,
  request: MemberRequest,
  granted: Role | undefined,
  now: Date,
): Promise<void> {
  const { callerId, userId } = request;
  const rows = await lockMembers(em, { ...request, now });
  const own = rows.find((each) => each.userId === callerId)?.role;
  const current = rows.find((each) => each.userId === userId)?.role;
  if (!own) throw new Refusal('ACCOUNT_NOT_FOUND');
  const isLeaving = callerId === userId && !granted;
  if (!isLeaving && !isAtLeast(own, 'admin')) throw new Refusal('ROLE_NOT_SUFFICIENT');
  if (!current) throw new Refusal('MEMBER_NOT_FOUND');
  const rolesTouched = granted ? [current, granted] : [current];
  if (!isLeaving && !rolesTouched.every((role) => mayGrant(own, role))) throw new Refusal('ROLE_NOT_SUFFICIENT');
  const hasOtherOwner = rows.some((each) => each.role === 'owner' && each.userId !== userId && each.mayAct);
  if (current === 'owner' && granted !== 'owner' && !hasOtherOwner) throw new Refusal('LAST_OWNER');
}

/** SQL: the owner to name in `accounts.owner_id` in place of `formerOwner`. An owner who may act comes first. */
export const nextOwner = (accountId: string, formerOwner: string) =>
  `select m.user_id from memberships m join users u on u.id = m.user_id
       where m.account_id = ${accountId} and m.role = 'owner' and m.user_id <> ${formerOwner}
       order by ${mayActAt('u')} desc, m.id limit 1`;

/** Locks the accounts of a user until the transaction ends. */
export const lockAccountsOf = statement<{ id: string }, { userId: string }>(
  'user_accounts_lock',
  `select a.id from accounts a join memberships m on m.account_id = a.id where m.user_id = :userId
   order by a.id for no key update of a`,
);

const leaveAll = statement<{ id: string }, { userId: string; now: Date }>(
  'user_leave_accounts',
  `with left_accounts as (
     delete from memberships where user_id = :userId returning account_id
   ), ${revokePending('i.inviter_id = :userId')}
   update accounts a set owner_id = (
       ${nextOwner('a.id', ':userId')})
   from left_accounts where a.id = left_accounts.account_id and a.owner_id = :userId returning a.id`,
);

/**
 * Removes a user who is being deleted from all accounts. The caller holds the lock on the user's row. An account whose last
 * owner is deleted has no owner until a backend adds one: no other member is promoted.
 */
export async function leaveAccounts(em: EntityManager, userId: string, now: Date): Promise<void> {
  // Members who become owners meanwhile are seen by the statement below.
  await lockAccountsOf(em, { userId });
  await leaveAll(em, { userId, now });
}
