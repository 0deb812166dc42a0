import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import { currentMembership, type RoleName, roleToMessage } from '../user/current-account.ts';
import { identitiesToMessage } from '../user/identity-message.ts';
import { type UserRow, userColumns, userOf } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managedUserToMessage } from './message.ts';

interface Placed {
  /** Null for users in no account. */
  readonly accountId: string | null;
  readonly accountRole: RoleName | null;
}

const findPlaced = statement<UserRow & Placed, { projectId: string; userId: string }>(
  'user_placed',
  `select ${userColumns}, m.account_id as "accountId", m.role as "accountRole"
   from users u left join ${currentMembership('m', 'u')}
   where u.project_id = :projectId and u.id = :userId and u.deleted_at is null`,
);

export function getUser({ now }: AdminDeps): AdminMethods['getUser'] {
  return async ({ userId }, context) => {
    const [row] = await findPlaced(autocommit(context), { projectId: projectOf(context), userId });
    if (!row) throw new Refusal('USER_NOT_FOUND');
    const { accountId, accountRole, ...user } = row;
    return {
      user: {
        ...managedUserToMessage(userOf(user), now()),
        identities: await identitiesToMessage(autocommit(context), user),
        accountId: accountId ?? '',
        ...(accountRole && { accountRole: roleToMessage(accountRole) }),
      },
    };
  };
}
