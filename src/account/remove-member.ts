import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { change } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { revokePending } from './invites/invite.ts';
import { memberRequestOf, nextOwner, permit } from './members.ts';
import type { Place } from './membership.ts';

export function removeMember({ now, joining }: AccountDeps): AccountMethods['removeMember'] {
  return async ({ accountId, userId }, context) => {
    const request = memberRequestOf(context, { accountId, userId });
    await change(
      context,
      async (em) => {
        await permit(em, request, undefined, now());
        const user = await lockUser(em, request.projectId, request.userId);
        const [moved] = await remove(em, { ...request, now: now() });
        const hasNoAccount = moved?.accountId === null;
        if (hasNoAccount) await joining.rehome(em, user, now());
        audit(
          em,
          context,
          { action: 'account.member_remove', userId: request.userId, entityId: request.accountId },
          now(),
        );
      },
      { users: [request.userId] },
    );
    return {};
  };
}

// Returns a row when the user was in the account: the one they are in now, null when they belong to no other.
const remove = statement<{ accountId: string | null }, Place & { now: Date }>(
  'member_leave',
  `with removed as (
     delete from memberships where project_id = :projectId and account_id = :accountId and user_id = :userId returning id
   ), ${revokePending('i.account_id = :accountId and i.inviter_id = :userId')}, settled as (
     update accounts set owner_id = (
       ${nextOwner(':accountId', ':userId')})
     where id = :accountId and owner_id = :userId
   )
   update users set current_account_id = (
     select account_id from memberships where user_id = :userId and account_id <> :accountId order by id desc limit 1)
   where id = :userId and current_account_id = :accountId returning current_account_id as "accountId"`,
);
