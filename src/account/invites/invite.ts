import { createHash, randomBytes } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/postgresql';
import { uuidv7 } from '../../database/uuid.ts';
import { cancelMails } from '../../mail/mail.ts';
import { projectColumn } from '../../project/project.ts';
import { trimAddress } from '../../text/email-address.ts';
import { emailKey } from '../../user/email.ts';
import { User } from '../../user/user.ts';
import { Account } from '../account.ts';
import type { Role } from '../membership.ts';

const AccountInviteTable = defineEntity({
  name: 'AccountInvite',
  tableName: 'account_invites',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    accountId: () => p.manyToOne(Account).mapToPk().fieldName('account_id'),
    codeHash: p.blob().hidden(),
    email: p.string().length(254),
    emailKey: p.string().length(320),
    role: p.string().length(16).$type<Role>(),
    // Null for an invitation of a backend.
    inviterId: () => p.manyToOne(User).mapToPk().fieldName('inviter_id').nullable().deleteRule('no action'),
    // Null for an invitation of the version before, whose inviter was given the code.
    byMailOnly: p.boolean().nullable(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3),
    usedAt: p.datetime(3).nullable(),
    acceptedBy: () => p.manyToOne(User).mapToPk().fieldName('accepted_by').nullable(),
    revokedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'account_invites_code_key', properties: ['projectId', 'codeHash'] }],
  indexes: [
    { name: 'account_invites_of_account', properties: ['accountId', 'id'] },
    { name: 'account_invites_expiry', properties: ['expiresAt'] },
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
  /** Null for a backend. */
  readonly inviterId: string | null;
  /** Whether nobody but the invited address is given the code. */
  readonly byMailOnly: boolean;
}

/** How long an invitation can be accepted. */
const lifetimeMs = 7 * 86_400_000;

/** An invitation of one address into one account. The row has only a hash of its code. */
export class AccountInvite extends AccountInviteTable.class {
  /** The code is drawn at random, or computed from the id. */
  static draft(
    draft: InviteDraft,
    now: Date,
    codeOf: (id: string) => string = newCode,
  ): { invite: AccountInvite; code: string } {
    const id = uuidv7(now);
    const code = codeOf(id);
    const email = trimAddress(draft.email);
    const invite = Object.assign(new AccountInvite(), draft, {
      id,
      codeHash: hashCode(code),
      email,
      emailKey: emailKey(email),
      createdAt: now,
      expiresAt: new Date(now.getTime() + lifetimeMs),
    });
    return { invite, code };
  }
}
AccountInviteTable.setClass(AccountInvite);

function newCode(): string {
  return codeFrom(randomBytes(24));
}

/** A code in its form, from 24 secret bytes. */
export function codeFrom(secret: Buffer): string {
  return `ghi_${secret.toString('base64url')}`;
}

export function hashCode(code: string): Buffer {
  return createHash('sha256').update(code).digest();
}

/** SQL: the columns of a ShownInvite. */
export const shownInviteColumns = `id, email, role, inviter_id as "inviterId", created_at as "createdAt", expires_at as "expiresAt",
     used_at as "usedAt", revoked_at as "revokedAt"`;

/** What the members who may invite are shown of an invitation. */
export type ShownInvite = Pick<
  AccountInvite,
  'id' | 'email' | 'role' | 'inviterId' | 'createdAt' | 'expiresAt' | 'usedAt' | 'revokedAt'
>;

/** SQL: neither accepted nor revoked. A pending invitation may have expired, and then cannot be accepted. */
export const isPending = (i: string) => `${i}.used_at is null and ${i}.revoked_at is null`;

/**
 * SQL of two CTEs, `revoked` and `cancelled`: they revoke the pending invitations `i` that meet the condition, and cancel
 * the mails that are on their way with their links.
 */
export const revokePending = (condition: string) =>
  `revoked as (
     update account_invites i set revoked_at = :now where ${isPending('i')} and ${condition} returning i.id
   ), cancelled as (${cancelMails('revoked', ':now')})`;
