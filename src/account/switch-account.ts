import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller } from '../rpc/context.ts';
import { type HeldState, holdCaller, requireLive } from '../session/caller-lock.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { ownPlace } from './members.ts';
import type { Place } from './membership.ts';
import { accountToMessage } from './message.ts';
import { accountOf } from './shown-account.ts';

interface Entered {
  readonly state: HeldState | null;
  /** Null when the user is no member. */
  readonly id: string | null;
}

// The user's row is locked before the membership is. RemoveMember holds the user's row until its transaction ends, so the
// membership is deleted by the time this statement goes on. An update that only joined the membership would still see it,
// and put the user back into the account.
const enter = statement<Entered, Place & { sessionId: string; tokenEpoch: number; now: Date }>(
  'account_enter',
  `with ${holdCaller(':userId')}, place as materialized (
     select m.account_id from own, memberships m
     where own.state = 'live' and m.user_id = :userId and m.project_id = :projectId and m.account_id = :accountId
     for key share of m
   ), entered as (
     update users set current_account_id = place.account_id from place where users.id = :userId returning users.id
   )
   select own.state, entered.id from (select 1) one left join own on true left join entered on true`,
);

export function switchAccount({ now }: AccountDeps): AccountMethods['switchAccount'] {
  return async ({ accountId }, context) => {
    const place = ownPlace(context, accountId);
    const { sessionId, tokenEpoch } = caller(context);
    const [entered] = await enter(autocommit(context), { ...place, sessionId, tokenEpoch, now: now() });
    requireLive(entered!.state);
    if (!entered!.id) throw new Refusal('ACCOUNT_NOT_FOUND');
    return { account: accountToMessage(await accountOf(autocommit(context), place)) };
  };
}
