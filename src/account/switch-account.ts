import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit } from '../rpc/context.ts';
import type { AccountMethods } from './deps.ts';
import { ownPlace } from './members.ts';
import type { Place } from './membership.ts';
import { accountToMessage } from './message.ts';
import { accountOf } from './shown-account.ts';

// The user's row is locked before the membership is. RemoveMember holds the user's row until its transaction ends, so the
// membership is deleted by the time this statement goes on. An update that only joined the membership would still see it,
// and put the user back into the account.
const enter = statement<{ id: string }, Place>(
  'account_enter',
  `with held as materialized (
     select m.account_id from users u join memberships m on m.user_id = :userId
     where u.id = :userId and m.project_id = :projectId and m.account_id = :accountId
     for no key update of u for key share of m
   )
   update users set current_account_id = held.account_id from held where users.id = :userId returning users.id`,
);

export const switchAccount: AccountMethods['switchAccount'] = async ({ accountId }, context) => {
  const place = ownPlace(context, accountId);
  const entered = await enter(autocommit(context), place);
  if (entered.length === 0) throw new Refusal('ACCOUNT_NOT_FOUND');
  return { account: accountToMessage(await accountOf(autocommit(context), place)) };
};
