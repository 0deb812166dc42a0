import { durationMs } from '@bufbuild/protobuf/wkt';
import { revokeInvitesBy } from '../account/invites/revoke-account-invite.ts';
import { audit } from '../audit/event.ts';
import { voidFor } from '../one-time/token.ts';
import { change, projectOf } from '../rpc/context.ts';
import { revokeCredentials } from '../session/revocation.ts';
import { recordOperator } from '../user/operator.ts';
import { forGood, lockUser } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { lockWithOperator } from './last-operator.ts';
import { managedUserToMessage } from './message.ts';

export function banUser({ now }: AdminDeps): AdminMethods['banUser'] {
  return async ({ userId, duration }, context) => {
    const at = now();
    const until = duration ? new Date(Math.min(at.getTime() + durationMs(duration), forGood.getTime())) : forGood;
    const user = await change(
      context,
      async (em) => {
        const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_REMOVE_SELF' }, at);
        user.ban(until, at);
        await recordOperator(em, user);
        await revokeCredentials(em, userId, 'banned', at);
        await voidFor(em, userId, at);
        await revokeInvitesBy(em, userId, at);
        audit(em, context, { action: 'user.ban', userId }, at);
        return user;
      },
      { users: [userId] },
    );
    return { user: managedUserToMessage(user, at) };
  };
}

export function unbanUser({ now }: AdminDeps): AdminMethods['unbanUser'] {
  return async ({ userId }, context) => {
    const at = now();
    const user = await change(
      context,
      async (em) => {
        const user = await lockUser(em, projectOf(context), userId);
        user.ban(null, at);
        await recordOperator(em, user);
        audit(em, context, { action: 'user.unban', userId }, at);
        return user;
      },
      { users: [userId] },
    );
    return { user: managedUserToMessage(user, at) };
  };
}
