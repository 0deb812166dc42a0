import { projectOf, reads } from '../rpc/context.ts';
import { findUser } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managedUserToMessage } from './message.ts';

export function getUser({ now }: AdminDeps): AdminMethods['getUser'] {
  return async ({ userId }, context) => {
    const user = await findUser(reads(context), projectOf(context), userId);
    return { user: managedUserToMessage(user, now()) };
  };
}
