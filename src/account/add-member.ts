import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { findMember, type ShownMember } from './members.ts';
import type { Place, Role } from './membership.ts';
import { memberToMessage, roleOf } from './message.ts';

export function addMember({ now, requestIds }: AccountDeps): AccountMethods['addMember'] {
  return async (request, context) => {
    const { accountId, userId, role } = request;
    const place = { projectId: projectOf(context), accountId, userId };
    const add = async (em: EntityManager): Promise<ShownMember> => {
      const user = await lockUser(em, place.projectId, userId);
      if (user.isAnonymous) throw new Refusal('REGISTRATION_REQUIRED');
      await join(em, place, roleOf(role), now());
      audit(em, context, { action: 'account.member_add', userId, entityId: accountId }, now());
      return findMember(em, place);
    };
    const member = await requestIds.once(context, request, {
      run: (recorded) =>
        change(
          context,
          (em) =>
            recorded(
              em,
              () => add(em),
              () => ({}),
            ),
          { users: [userId] },
        ),
      repeat: () => findMember(autocommit(context), place),
    });
    return { member: memberToMessage(member) };
  };
}

const lockAccount = statement<{ id: string }, Place>(
  'account_lock',
  'select id from accounts where project_id = :projectId and id = :accountId for no key update',
);

interface Added {
  readonly id: string;
  /** Null when the user was a member already. */
  readonly membershipId: string | null;
}

// An owner takes the place of the account's owner where it has no owner.
const insertMember = statement<Added, Place & { role: Role; membershipId: string; now: Date }>(
  'member_add',
  `with found as (select id from accounts where project_id = :projectId and id = :accountId), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, joined_by, created_at)
     select :membershipId, :projectId, id, :userId, :role::varchar, 'service', :now from found
     on conflict (project_id, account_id, user_id) do nothing returning id
   ), settled as (
     update accounts set owner_id = :userId from joined
     where accounts.id = :accountId and accounts.owner_id is null and :role::varchar = 'owner'
   )
   select found.id, joined.id as "membershipId" from found left join joined on true`,
);

async function join(em: EntityManager, place: Place, role: Role, now: Date): Promise<void> {
  // So that no other transaction changes the account's owner meanwhile.
  await lockAccount(em, place);
  const [row] = await insertMember(em, { ...place, role, membershipId: uuidv7(now), now });
  if (!row) throw new Refusal('ACCOUNT_NOT_FOUND');
  if (!row.membershipId) throw new Refusal('ALREADY_A_MEMBER');
}
