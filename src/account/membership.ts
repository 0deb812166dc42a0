import { defineEntity, p } from '@mikro-orm/postgresql';
import { Project } from '../project/project.ts';
import { User } from '../user/user.ts';
import { Account } from './account.ts';

/** Each role may do what those after it may. */
export const roles = ['owner', 'admin', 'member', 'viewer'] as const;

export type Role = (typeof roles)[number];

const MembershipTable = defineEntity({
  name: 'Membership',
  tableName: 'memberships',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    accountId: () => p.manyToOne(Account).mapToPk().fieldName('account_id'),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id'),
    role: p.string().length(16).$type<Role>(),
    createdAt: p.datetime(3),
  },
  uniques: [{ name: 'memberships_key', properties: ['projectId', 'accountId', 'userId'] }],
  indexes: [
    { name: 'memberships_of_account', properties: ['accountId', 'id'] },
    { name: 'memberships_of_user', properties: ['userId', 'id'] },
  ],
});

/** That a user belongs to an account, and what they may do there. */
export class Membership extends MembershipTable.class {}
MembershipTable.setClass(Membership);

export function isAtLeast(role: Role, least: Role): boolean {
  return roles.indexOf(role) <= roles.indexOf(least);
}

/** Whether a role may give and take another: an owner any, an admin those below. Nobody grants what they have not. */
export function mayGrant(own: Role, granted: Role): boolean {
  return own === 'owner' || (own === 'admin' && !isAtLeast(granted, 'admin'));
}
