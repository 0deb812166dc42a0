import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';

/** SQL: the membership `m` of the user `u` in the account that they are in, for a join. Guests have none. */
export const currentMembership = (m: string, u: string) =>
  `memberships ${m} on ${m}.project_id = ${u}.project_id and ${m}.account_id = ${u}.current_account_id
     and ${m}.user_id = ${u}.id`;

/** SQL: the role of the user `u` in that account, or null. */
export const currentRoleOf = (u: string) =>
  `(select m.role from memberships m where m.project_id = ${u}.project_id and m.account_id = ${u}.current_account_id
       and m.user_id = ${u}.id)`;

export const roleMessages = {
  owner: AccountRole.OWNER,
  admin: AccountRole.ADMIN,
  member: AccountRole.MEMBER,
  viewer: AccountRole.VIEWER,
} as const;

export type RoleName = keyof typeof roleMessages;

export function roleToMessage(role: RoleName): AccountRole {
  return roleMessages[role];
}
