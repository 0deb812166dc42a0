import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import { insert } from '../../database/insert.ts';
import { faultOf } from '../../database/sqlstate.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { cancelMails } from '../../mail/mail.ts';
import { anyCaller, change, type UserCaller } from '../../rpc/context.ts';
import { emailKey } from '../../user/email.ts';
import { mayActAt } from '../../user/user.ts';
import { requireVerifiedMailbox } from '../../user/verified-mailbox.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { mayGrant, type Role } from '../membership.ts';
import { inviteToMessage, roleOf } from '../message.ts';
import { AccountInvite, type InviteDraft, isPending, type ShownInvite } from './invite.ts';
import { type KeptInvite, readInvite, repeatableCode } from './repeated-invite.ts';

/** How many invitations of one account may be pending at a time, so that rows cannot pile up. */
export const pendingLimit = 100;

export function createAccountInvite(deps: AccountDeps): AccountMethods['createAccountInvite'] {
  const { now, keys, requestIds, messages, outbox } = deps;
  return async (request, context) => {
    const { accountId, email, role, requestId } = request;
    const inviting = anyCaller(context);
    const { projectId } = inviting;
    const inviterId = inviting.kind === 'user' ? inviting.userId : null;
    // Attack: a member who receives the code could register the invited address with it.
    const byMailOnly = inviterId !== null && !outbox.isOff;
    const draft = { projectId, accountId, email, role: roleOf(role), inviterId, byMailOnly };
    const isRepeatable = requestId !== undefined && !byMailOnly;
    const codeOf = isRepeatable ? (inviteId: string) => repeatableCode(keys, inviteId) : undefined;
    const create = async (em: EntityManager): Promise<Invited> => {
      const inviter = inviting.kind === 'user' ? await admitInviter(em, deps, inviting, draft) : undefined;
      const created = await createInvite(em, { draft, inviter, codeOf }, now());
      const mailed = await enqueueMail(deps, em, created, now());
      audit(em, context, { action: 'account.invite', entityId: created.invite.id }, now());
      return { invite: created.invite, code: byMailOnly ? undefined : created.code, mailed };
    };
    const keptOf = ({ invite, mailed }: Invited): KeptInvite => {
      return { inviteId: invite.id, mailed, codeKeyId: isRepeatable ? keys.activeId : null };
    };
    const { invite, code, mailed } = await requestIds.once<Invited, KeptInvite>(context, request, {
      run: (recorded) => change(context, (em) => recorded(em, () => create(em), keptOf)),
      async repeat({ inviteId, mailed, codeKeyId }) {
        const invite = await readInvite(context, accountId, inviteId);
        return { invite, code: codeKeyId === null ? undefined : repeatableCode(keys, inviteId, codeKeyId), mailed };
      },
    });
    const shown = code && { accountInviteCode: code, link: messages.invitationLink(projectId, code) };
    return { invite: inviteToMessage(invite), ...shown, mailed };
  };
}

/** What the response shows. */
interface Invited {
  readonly invite: ShownInvite;
  /** Undefined where only the mail has it. */
  readonly code: string | undefined;
  readonly mailed: boolean;
}

interface Inviter {
  readonly role: Role;
  /** The account's name. */
  readonly account: string;
  /** The inviter's name. */
  readonly inviter: string;
  readonly locale: string;
  readonly emailVerifiedAt: Date | null;
  readonly mayAct: boolean;
}

// The rows are locked until the transaction ends. So the pending invitations of an account are counted by one call at a
// time, and nobody invites while they are being removed, demoted or banned. RemoveMember, too, locks the user's row last.
const lockInviter = statement<Inviter, Pick<InviteDraft, 'projectId' | 'accountId'> & { inviterId: string; now: Date }>(
  'inviter_lock',
  `select m.role, a.name as account, coalesce(nullif(u.name, ''), split_part(u.email, '@', 1), a.name) as inviter, u.locale,
     u.email_verified_at as "emailVerifiedAt", ${mayActAt('u')} as "mayAct"
   from memberships m join accounts a on a.id = m.account_id join users u on u.id = :inviterId
   where m.project_id = :projectId and m.account_id = :accountId and m.user_id = :inviterId
   for no key update of m, a for key share of u`,
);

/** Throws unless the user may invite into the account in this role. */
async function admitInviter(
  em: EntityManager,
  deps: AccountDeps,
  { projectId, userId }: UserCaller,
  { accountId, role }: InviteDraft,
): Promise<Inviter> {
  const at = deps.now();
  const [inviter] = await lockInviter(em, { projectId, accountId, inviterId: userId, now: at });
  if (!inviter) throw new Refusal('ACCOUNT_NOT_FOUND');
  if (!inviter.mayAct) throw new Refusal('SESSION_REVOKED');
  if (!mayGrant(inviter.role, role)) throw new Refusal('ROLE_NOT_SUFFICIENT');
  await requireVerifiedMailbox(em, deps, { projectId, ...inviter });
  return inviter;
}

const lockAccount = statement<{ account: string }, Pick<InviteDraft, 'projectId' | 'accountId'>>(
  'invited_account_lock',
  'select name as account from accounts where project_id = :projectId and id = :accountId for no key update',
);

/** For an invitation of a backend, which the account itself makes. */
async function accountAsInviter(em: EntityManager, { projectId, accountId }: InviteDraft) {
  const [found] = await lockAccount(em, { projectId, accountId });
  if (!found) throw new Refusal('ACCOUNT_NOT_FOUND');
  return { account: found.account, inviter: found.account, locale: '' };
}

interface Room {
  /** Invitations of the account that are pending and not expired. */
  readonly pending: number;
  /** Members who have the invited address: 0 or 1. */
  readonly members: number;
  /** The language of the user with that address. Only the mail is written in it. */
  readonly locale: string | null;
}

interface InvitedAddress {
  readonly projectId: string;
  readonly accountId: string;
  readonly emailKey: string;
  readonly now: Date;
}

// An expired invitation of the address is revoked: the unique index of pending invitations knows no time.
const makeRoom = statement<Room, InvitedAddress>(
  'account_invite_make_room',
  `with expired as (
     update account_invites i set revoked_at = :now
     where i.project_id = :projectId and i.account_id = :accountId and i.email_key = :emailKey
       and ${isPending('i')} and i.expires_at <= :now
     returning i.id
   ), cancelled as (${cancelMails('expired', ':now')})
   select (select count(*) from account_invites i
       where i.account_id = :accountId and ${isPending('i')} and i.expires_at > :now)::int as pending,
     (select count(*) from users u
       join memberships m on m.project_id = u.project_id and m.account_id = :accountId and m.user_id = u.id
       where u.project_id = :projectId and u.email_key = :emailKey)::int as members,
     (select locale from users where project_id = :projectId and email_key = :emailKey) as locale`,
);

interface CreatedInvite {
  readonly invite: AccountInvite;
  /** The only copy. */
  readonly code: string;
  readonly account: string;
  readonly inviter: string;
  /** The language of the invited user, else the inviter's. */
  readonly locale: string;
}

interface Creation {
  readonly draft: InviteDraft;
  /** Undefined for a backend. */
  readonly inviter: Inviter | undefined;
  /** Computes the code. Undefined: it is drawn at random. */
  readonly codeOf: ((inviteId: string) => string) | undefined;
}

async function createInvite(em: EntityManager, creation: Creation, now: Date): Promise<CreatedInvite> {
  const { draft, codeOf } = creation;
  const { projectId, accountId, email } = draft;
  const inviter = creation.inviter ?? (await accountAsInviter(em, draft));
  const [room] = await makeRoom(em, { projectId, accountId, emailKey: emailKey(email), now });
  if (room!.members > 0) throw new Refusal('ALREADY_A_MEMBER');
  if (room!.pending >= pendingLimit) throw new Refusal('ACCOUNT_INVITE_LIMIT_REACHED');
  const created = AccountInvite.draft(draft, now, codeOf);
  try {
    await insert(em, created.invite);
  } catch (error) {
    throw faultOf(error) === 'unique' ? new Refusal('ALREADY_INVITED', { cause: error }) : error;
  }
  return { ...created, account: inviter.account, inviter: inviter.inviter, locale: room!.locale || inviter.locale };
}

/** Returns whether a mail is enqueued. An address receives a limited number of invitations, from all accounts together. */
async function enqueueMail(
  { outbox, messages, mailBudget }: AccountDeps,
  em: EntityManager,
  { invite, code, account, inviter, locale }: CreatedInvite,
  now: Date,
): Promise<boolean> {
  const { id, projectId, email, emailKey, expiresAt } = invite;
  const mail = { projectId, kind: 'account_invite', target: emailKey };
  if (outbox.isOff || !(await mailBudget.take(em, mail, now))) return false;
  const recipient = { projectId, email, locale, name: '' };
  await outbox.enqueue(em, messages.invitation(recipient, { id, code, account, inviter, expiresAt }), now);
  return true;
}
