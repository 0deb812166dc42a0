import { defineEntity, p } from '@mikro-orm/postgresql';
import { projectColumn } from '../project/project.ts';
import { User } from '../user/user.ts';
import { Account } from './account.ts';

/** Each role may do what those after it may. */
export const roles = ['owner', 'admin', 'member', 'viewer'] as const;

export type Role = (typeof roles)[number];

/** How a user came to be a member: opened the account, accepted an invitation, or was brought by a backend. */
export type JoinedBy = 'opened' | 'invite' | 'service';

const MembershipTable = defineEntity({
  name: 'Membership',
  tableName: 'memberships',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    accountId: () => p.manyToOne(Account).mapToPk().fieldName('account_id'),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id'),
    role: p.string().length(16).$type<Role>(),
    // A replica of the version before does not write these two.
    joinedBy: p.string().length(16).$type<JoinedBy>().nullable(),
    /** The address, as emailKey spells it, if only a mail to it had the code of the invitation. */
    mailedTo: p.string().length(320).nullable(),
    createdAt: p.datetime(3),
  },
  uniques: [{ name: 'memberships_key', properties: ['projectId', 'accountId', 'userId'] }],
  indexes: [
    { name: 'memberships_of_account', properties: ['accountId', 'id'] },
    { name: 'memberships_of_user', properties: ['userId', 'id'] },
  ],
});

/** A user belongs to an account, in a role. */
export class Membership extends MembershipTable.class {}
MembershipTable.setClass(Membership);

/** A user's place in an account, whether or not they have it. */
export interface Place {
  readonly projectId: string;
  readonly accountId: string;
  readonly userId: string;
}

export function isAtLeast(role: Role, least: Role): boolean {
  return roles.indexOf(role) <= roles.indexOf(least);
}

/** Whether a role may give and take another one: an owner any role, an admin only roles below admin. */
export function mayGrant(own: Role, granted: Role): boolean {
  return own === 'owner' || (own === 'admin' && !isAtLeast(granted, 'admin'));
}
