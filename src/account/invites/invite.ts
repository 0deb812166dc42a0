import { createHash, randomBytes } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { statement } from '../../database/statement.ts';
import { uuidv7 } from '../../database/uuid.ts';
import { Refusal } from '../../errors.ts';
import { cancelMails } from '../../mail/mail.ts';
import { Project } from '../../project/project.ts';
import { emailKey } from '../../user/email.ts';
import { User } from '../../user/user.ts';
import { Account } from '../account.ts';
import type { Role } from '../membership.ts';

const AccountInviteTable = defineEntity({
  name: 'AccountInvite',
  tableName: 'account_invites',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    accountId: () => p.manyToOne(Account).mapToPk().fieldName('account_id'),
    codeHash: p.blob().hidden(),
    email: p.string().length(254),
    emailKey: p.string().length(320),
    role: p.string().length(16).$type<Role>(),
    inviterId: () => p.manyToOne(User).mapToPk().fieldName('inviter_id'),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3),
    usedAt: p.datetime(3).nullable(),
    acceptedBy: () => p.manyToOne(User).mapToPk().fieldName('accepted_by').nullable(),
    revokedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'account_invites_code_key', properties: ['projectId', 'codeHash'] }],
  indexes: [
    { name: 'account_invites_of_account', properties: ['accountId', 'id'] },
    {
      name: 'account_invites_pending',
      properties: ['projectId', 'accountId', 'emailKey'],
      expression:
        'create unique index "account_invites_pending" on "account_invites" ("project_id", "account_id", "email_key") where "used_at" is null and "revoked_at" is null',
    },
    {
      name: 'account_invites_by_inviter',
      properties: ['inviterId'],
      expression:
        'create index "account_invites_by_inviter" on "account_invites" ("inviter_id") where "used_at" is null and "revoked_at" is null',
    },
  ],
});

export interface InviteDraft {
  readonly projectId: string;
  readonly accountId: string;
  readonly email: string;
  readonly role: Role;
  readonly inviterId: string;
}

const lifetime = 7 * 86_400_000;

/** An invitation of one address into one account. Its code is known to whoever was given it; here is only a hash. */
export class AccountInvite extends AccountInviteTable.class {
  static draft(draft: InviteDraft, now: Date): { invite: AccountInvite; code: string } {
    const code = `ghi_${randomBytes(24).toString('base64url')}`;
    const email = draft.email.trim();
    const invite = Object.assign(new AccountInvite(), draft, {
      id: uuidv7(now),
      codeHash: hashCode(code),
      email,
      emailKey: emailKey(email),
      createdAt: now,
      expiresAt: new Date(now.getTime() + lifetime),
    });
    return { invite, code };
  }
}
AccountInviteTable.setClass(AccountInvite);

function hashCode(code: string): Buffer {
  return createHash('sha256').update(code).digest();
}

/** An invitation that the transaction under way has taken. */
export interface TakenInvite {
  readonly id: string;
  readonly role: Role;
}

const take = statement<TakenInvite>(
  'account_invite_take',
  `with taken as (
     update account_invites set used_at = $4
     where project_id = $1 and code_hash = $2 and email_key = $3 and used_at is null and revoked_at is null and expires_at > $4
     returning id, role
   ), cancelled as (${cancelMails('taken', '$4')})
   select id, role from taken`,
);

const look = statement<{ used: boolean; revoked: boolean; expired: boolean }>(
  'account_invite_look',
  `select used_at is not null as used, revoked_at is not null as revoked, expires_at <= $3 as expired
   from account_invites where project_id = $1 and code_hash = $2`,
);

/**
 * Takes an invitation, once: of any number of calls with its code one goes on, and the others wait until it is certain
 * that it does. Throws what is wrong with the code for all others.
 */
export async function takeAccountInvite(
  em: EntityManager,
  { projectId, code, email }: { projectId: string; code: string; email: string },
  now: Date,
): Promise<TakenInvite> {
  const [taken] = await take(em, [projectId, hashCode(code), emailKey(email), now]);
  if (taken) return taken;
  const [state] = await look(em, [projectId, hashCode(code), now]);
  if (!state || state.revoked) throw new Refusal('INVALID_ACCOUNT_INVITE_CODE');
  if (state.used) throw new Refusal('ACCOUNT_INVITE_CODE_USED');
  throw new Refusal(state.expired ? 'ACCOUNT_INVITE_CODE_EXPIRED' : 'INVITE_EMAIL_MISMATCH');
}

const accept = statement<{ id: string }>(
  'account_invite_accept',
  `with accepted as (
     update account_invites set accepted_by = $2 where id = $1 returning project_id, account_id, role
   ), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, created_at)
     select $3, project_id, account_id, $2, role, $4 from accepted
     on conflict (project_id, account_id, user_id) do nothing returning account_id
   ), entered as (
     update users set current_account_id = joined.account_id from joined where users.id = $2
   )
   select account_id as id from joined`,
);

/** Makes the user a member by an invitation that was taken, and puts them into the account. Answers with its id. */
export async function joinByInvite(em: EntityManager, userId: string, invite: TakenInvite, now: Date): Promise<string> {
  const [joined] = await accept(em, [invite.id, userId, uuidv7(now), now]);
  if (!joined) throw new Refusal('ALREADY_A_MEMBER');
  return joined.id;
}
