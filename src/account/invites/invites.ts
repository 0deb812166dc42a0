import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { insert } from '../../database/insert.ts';
import { faultOf } from '../../database/sqlstate.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { cancelMails } from '../../mail/mail.ts';
import { emailKey } from '../../user/email.ts';
import type { Place } from '../members.ts';
import { mayGrant, type Role } from '../membership.ts';
import { AccountInvite, type InviteDraft } from './invite.ts';

/** Invitations of one account that may be pending at a time, so that rows cannot pile up. */
export const pendingLimit = 100;

// The rows are held until the transaction ends: the invitations of an account are counted one after the other, and whoever
// is being removed, demoted or banned invites nobody meanwhile. The user's row comes last, as it does for who removes them.
const lockInviter = statement<Inviter>(
  'inviter_lock',
  `select m.role, a.name as account, coalesce(nullif(u.name, ''), split_part(u.email, '@', 1)) as inviter, u.locale,
     coalesce(u.banned_until > $4, false) as "isBanned"
   from memberships m join accounts a on a.id = m.account_id join users u on u.id = m.user_id
   where m.project_id = $1 and m.account_id = $2 and m.user_id = $3 for no key update of m, a for key share of u`,
);

interface Inviter {
  readonly role: Role;
  readonly account: string;
  readonly inviter: string;
  readonly locale: string;
  readonly isBanned: boolean;
}

// An expired invitation makes way for a new one. The language of whoever has the address is for the mail alone.
const makeRoom = statement<{ pending: number; members: number; locale: string | null }>(
  'account_invite_make_room',
  `with expired as (
     update account_invites set revoked_at = $4
     where project_id = $1 and account_id = $2 and email_key = $3 and used_at is null and revoked_at is null and expires_at <= $4
     returning id
   ), cancelled as (${cancelMails('expired', '$4')})
   select (select count(*) from account_invites
       where account_id = $2 and used_at is null and revoked_at is null and expires_at > $4)::int as pending,
     (select count(*) from users u join memberships m on m.project_id = u.project_id and m.account_id = $2 and m.user_id = u.id
       where u.project_id = $1 and u.email_key = $3)::int as members,
     (select locale from users where project_id = $1 and email_key = $3) as locale`,
);

export interface MadeInvite {
  readonly invite: AccountInvite;
  /** The only copy. */
  readonly code: string;
  /** What the account and who invites are called. */
  readonly account: string;
  readonly inviter: string;
  /** The language of whom it is for, else of who invites. */
  readonly locale: string;
}

/** Makes an invitation. */
export async function createInvite(em: EntityManager, draft: InviteDraft, now: Date): Promise<MadeInvite> {
  const { projectId, accountId, email, role, inviterId } = draft;
  const [inviter] = await lockInviter(em, [projectId, accountId, inviterId, now]);
  if (!inviter) throw new Refusal('ACCOUNT_NOT_FOUND');
  if (inviter.isBanned) throw new Refusal('SESSION_REVOKED');
  if (!mayGrant(inviter.role, role)) throw new Refusal('ROLE_NOT_SUFFICIENT');
  const [room] = await makeRoom(em, [projectId, accountId, emailKey(email), now]);
  if (room!.members > 0) throw new Refusal('ALREADY_A_MEMBER');
  if (room!.pending >= pendingLimit) throw new Refusal('ACCOUNT_INVITE_LIMIT_REACHED');
  const made = AccountInvite.draft(draft, now);
  try {
    await insert(em, made.invite);
  } catch (error) {
    throw faultOf(error) === 'unique' ? new Refusal('ALREADY_INVITED', { cause: error }) : error;
  }
  return { ...made, account: inviter.account, inviter: inviter.inviter, locale: room!.locale || inviter.locale };
}

export type ShownInvite = Omit<AccountInvite, 'codeHash'>;

const list = statement<ShownInvite>(
  'account_invites_list',
  `select id, email, role, inviter_id as "inviterId", created_at as "createdAt", expires_at as "expiresAt",
     used_at as "usedAt", revoked_at as "revokedAt"
   from account_invites where account_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3`,
);

export function listInvites(
  autocommit: Autocommit,
  accountId: string,
  page: { after: string | undefined; limit: number },
) {
  return list(autocommit, [accountId, page.after ?? null, page.limit]);
}

const revoke = statement<{ id: string }>(
  'account_invite_revoke',
  `with revoked as (
     update account_invites set revoked_at = $4
     where id = $3 and project_id = $1 and account_id = $2 and used_at is null and revoked_at is null returning id
   ), cancelled as (${cancelMails('revoked', '$4')})
   select id from revoked`,
);

export async function revokeInvite(em: EntityManager, place: Omit<Place, 'userId'>, id: string, now: Date) {
  const revoked = await revoke(em, [place.projectId, place.accountId, id, now]);
  if (revoked.length === 0) throw new Refusal('ACCOUNT_INVITE_NOT_FOUND');
}

/** SQL for statements that end all invitations a user has made and nobody has taken. */
export const revokedBy = (inviter: string, now: string) =>
  `revoked as (
     update account_invites set revoked_at = ${now} where inviter_id = ${inviter} and used_at is null and revoked_at is null
     returning id
   ), cancelled as (${cancelMails('revoked', now)})`;

const revokeBy = statement<{ id: string }>(
  'account_invites_revoke_by',
  `with ${revokedBy('$1', '$2')} select id from revoked`,
);

/**
 * Ends the invitations of a user who is being banned. The caller holds the user's row, so one that is being made meanwhile
 * was committed before, or is refused: whoever makes one holds that row, too.
 */
export async function revokeInvitesBy(em: EntityManager, userId: string, now: Date): Promise<void> {
  await revokeBy(em, [userId, now]);
}
