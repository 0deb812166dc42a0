import { randomInt } from 'node:crypto';
import type { HandlerContext } from '@connectrpc/connect';
import { statement } from '../../database/statement.ts';
import { autocommit, caller } from '../../rpc/context.ts';
import { type HeldState, holdCaller, requireLive } from '../../session/caller-lock.ts';
import { ownRead } from '../../session/own-read.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { requireUsage } from './quota.ts';
import { referralLimit } from './referral.ts';

export function getReferral({ now, usage, projects }: AccountDeps): AccountMethods['getReferral'] {
  return async (_, context) => {
    requireUsage(usage);
    const { projectId } = caller(context);
    const own = ownReferral.of(context);
    const count = own.referrals;
    const code = own.code ?? (await makeCode(context, now()));
    const { frontendUrl } = projects.of(projectId).settings;
    const link = `${frontendUrl}/?referral_code=${encodeURIComponent(code)}`;
    return { code, count, limit: referralLimit, link };
  };
}

/** The code of the caller, null before the first GetReferral, and how many users have redeemed it. */
export const ownReferral = ownRead<{ code: string | null; referrals: number }>(
  'session_states_referral',
  `(select c.code from referral_codes c where c.user_id = named.user_id) as code,
     (select count(*) from referrals r where r.referrer_id = named.user_id)::int as referrals`,
);

async function makeCode(context: HandlerContext, now: Date): Promise<string> {
  const { projectId, userId, sessionId, tokenEpoch } = caller(context);
  const values = { projectId, userId, sessionId, tokenEpoch, newCode: newCode(), now };
  const [row] = await make(autocommit(context), values);
  requireLive(row!.state);
  return row!.code;
}

interface Values {
  readonly projectId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly tokenEpoch: number;
  readonly newCode: string;
  readonly now: Date;
}

// Race: a parallel call may have created the code. The update changes nothing. Without it, no row would be returned then.
const make = statement<{ state: HeldState | null; code: string }, Values>(
  'referral_code_make',
  `with ${holdCaller(':userId')}, made as (
     insert into referral_codes (user_id, project_id, code, created_at)
     select :userId::uuid, :projectId::uuid, :newCode::varchar, :now::timestamptz from own where own.state = 'live'
     on conflict (user_id) do update set code = referral_codes.code returning code
   )
   select own.state, made.code from (select 1) one left join own on true left join made on true`,
);

const characters = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 80 random bits: nobody finds the code of another user by trying. */
function newCode(): string {
  return `ref-${Array.from({ length: 16 }, () => characters[randomInt(characters.length)]).join('')}`;
}
