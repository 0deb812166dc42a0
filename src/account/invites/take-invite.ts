import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../../database/statement.ts';
import { uuidv7 } from '../../database/uuid.ts';
import { Refusal } from '../../errors.ts';
import { cancelMails } from '../../mail/mail.ts';
import { emailKey } from '../../user/email.ts';
import { hashCode, isPending } from './invite.ts';

/** An invitation that the current transaction has taken. */
export interface TakenInvite {
  readonly id: string;
  /** The code left the service only in the mail to the invited address: it proves that its user reads that mailbox. */
  readonly provesMailbox: boolean;
}

interface Presented {
  readonly projectId: string;
  readonly codeHash: Buffer;
  readonly emailKey: string;
  readonly now: Date;
}

const take = statement<TakenInvite, Presented>(
  'account_invite_take',
  `with taken as (
     update account_invites i set used_at = :now
     where i.project_id = :projectId and i.code_hash = :codeHash and i.email_key = :emailKey
       and ${isPending('i')} and i.expires_at > :now
     returning i.id, i.by_mail_only
   ), cancelled as (${cancelMails('taken', ':now')})
   select id, by_mail_only is true as "provesMailbox" from taken`,
);

const look = statement<{ used: boolean; revoked: boolean; expired: boolean }, Omit<Presented, 'emailKey'>>(
  'account_invite_look',
  `select used_at is not null as used, revoked_at is not null as revoked, expires_at <= :now as expired
   from account_invites where project_id = :projectId and code_hash = :codeHash`,
);

/**
 * Takes an invitation, once. Of parallel calls with one code the first takes it, and the others wait until its transaction
 * has ended. Throws INVALID_ACCOUNT_INVITE_CODE, ACCOUNT_INVITE_CODE_USED, ACCOUNT_INVITE_CODE_EXPIRED or
 * INVITE_EMAIL_MISMATCH.
 */
export async function takeAccountInvite(
  em: EntityManager,
  { projectId, code, email }: { projectId: string; code: string; email: string },
  now: Date,
): Promise<TakenInvite> {
  const presented = { projectId, codeHash: hashCode(code), emailKey: emailKey(email), now };
  const [taken] = await take(em, presented);
  if (taken) return taken;
  const [state] = await look(em, presented);
  if (!state || state.revoked) throw new Refusal('INVALID_ACCOUNT_INVITE_CODE');
  if (state.used) throw new Refusal('ACCOUNT_INVITE_CODE_USED');
  throw new Refusal(state.expired ? 'ACCOUNT_INVITE_CODE_EXPIRED' : 'INVITE_EMAIL_MISMATCH');
}

const accept = statement<{ id: string }, { inviteId: string; userId: string; membershipId: string; now: Date }>(
  'account_invite_accept',
  `with accepted as (
     update account_invites set accepted_by = :userId where id = :inviteId
     returning project_id, account_id, role, inviter_id, email_key, by_mail_only
   ), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, joined_by, mailed_to, created_at)
     select :membershipId, project_id, account_id, :userId, role,
       case when inviter_id is null and by_mail_only is not true then 'service' else 'invite' end,
       case when by_mail_only then email_key end, :now
     from accepted
     on conflict (project_id, account_id, user_id) do nothing returning account_id
   ), entered as (
     update users set current_account_id = joined.account_id from joined where users.id = :userId
   )
   select account_id as id from joined`,
);

/** Makes the user a member by an invitation that was taken, and switches them to the account. Returns the account's id. */
export async function joinByInvite(
  em: EntityManager,
  { userId, invite }: { userId: string; invite: TakenInvite },
  now: Date,
): Promise<string> {
  const [joined] = await accept(em, { inviteId: invite.id, userId, membershipId: uuidv7(now), now });
  if (!joined) throw new Refusal('ALREADY_A_MEMBER');
  return joined.id;
}
