import { randomInt } from 'node:crypto';
import { statement } from '../../database/statement.ts';
import { autocommit, caller } from '../../rpc/context.ts';
import { type HeldState, holdCaller, requireLive } from '../../session/caller-lock.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { requireUsage } from './quota.ts';
import { referralLimit } from './referral.ts';

export function getReferral({ now, usage, projects }: AccountDeps): AccountMethods['getReferral'] {
  return async (_, context) => {
    requireUsage(usage);
    const { projectId, userId, sessionId, tokenEpoch } = caller(context);
    const values = { projectId, userId, sessionId, tokenEpoch, newCode: newCode(), now: now() };
    const [row] = await codeAndCount(autocommit(context), values);
    requireLive(row!.state);
    const { code, count } = row!;
    const { frontendUrl } = projects.of(projectId).settings;
    const link = `${frontendUrl}/?referral_code=${encodeURIComponent(code)}`;
    return { code, count, limit: referralLimit, link };
  };
}

interface CodeAndCount {
  readonly state: HeldState | null;
  readonly code: string;
  readonly count: number;
}

interface Values {
  readonly projectId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly tokenEpoch: number;
  readonly newCode: string;
  readonly now: Date;
}

// The update changes nothing. Without it, no row would be returned for a user who has a code.
const codeAndCount = statement<CodeAndCount, Values>(
  'referral_code_make',
  `with ${holdCaller(':userId')}, made as (
     insert into referral_codes (user_id, project_id, code, created_at)
     select :userId::uuid, :projectId::uuid, :newCode::varchar, :now::timestamptz from own where own.state = 'live'
     on conflict (user_id) do update set code = referral_codes.code returning code
   )
   select own.state, made.code, (select count(*) from referrals where referrer_id = :userId)::int as count
   from (select 1) one left join own on true left join made on true`,
);

const characters = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 80 random bits: nobody finds the code of another user by trying. */
function newCode(): string {
  return `ref-${Array.from({ length: 16 }, () => characters[randomInt(characters.length)]).join('')}`;
}
