import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { change } from '../rpc/context.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { revokePending } from './invites/invite.ts';
import { findMember, memberRequestOf, nextOwner, permit } from './members.ts';
import type { Place, Role } from './membership.ts';
import { memberToMessage, roleOf } from './message.ts';

export function updateMember({ now }: AccountDeps): AccountMethods['updateMember'] {
  return async ({ accountId, userId, role }, context) => {
    const request = memberRequestOf(context, { accountId, userId });
    const member = await change(
      context,
      async (em) => {
        await permit(em, request, roleOf(role), now());
        await setRole(em, { ...request, role: roleOf(role), now: now() });
        audit(
          em,
          context,
          { action: 'account.member_update', userId: request.userId, entityId: request.accountId },
          now(),
        );
        return findMember(em, request);
      },
      { users: [request.userId] },
    );
    return { member: memberToMessage(member) };
  };
}

// When the account's owner loses that role, another owner takes their place in `owner_id`. Pending invitations that the
// member may not create in the new role are revoked.
const setRole = statement<{ id: string }, Place & { role: Role; now: Date }>(
  'member_set_role',
  `with changed as (
     update memberships set role = :role::varchar
     where project_id = :projectId and account_id = :accountId and user_id = :userId returning id
   ), ${revokePending(`i.account_id = :accountId and i.inviter_id = :userId
       and :role::varchar <> 'owner' and (:role::varchar <> 'admin' or i.role = 'admin')`)}, settled as (
     update accounts set owner_id = case when :role::varchar = 'owner' then coalesce(owner_id, :userId) else (
       ${nextOwner(':accountId', ':userId')}) end
     where id = :accountId and (owner_id = :userId or owner_id is null)
   )
   select id from changed`,
);
