import { randomInt } from 'node:crypto';
import { statement } from '../../database/statement.ts';
import { autocommit, caller } from '../../rpc/context.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { requireUsage } from './quota.ts';
import { referralLimit } from './referral.ts';

export function getReferral({ now, usage, frontendUrl }: AccountDeps): AccountMethods['getReferral'] {
  return async (_, context) => {
    requireUsage(usage);
    const { projectId, userId } = caller(context);
    const [row] = await codeAndCount(autocommit(context), { projectId, userId, newCode: newCode(), now: now() });
    const { code, count } = row!;
    const link = `${frontendUrl}/?referral_code=${encodeURIComponent(code)}`;
    return { code, count, limit: referralLimit, link };
  };
}

// The update changes nothing. Without it, no row would be returned for a user who has a code.
const codeAndCount = statement<
  { code: string; count: number },
  { projectId: string; userId: string; newCode: string; now: Date }
>(
  'referral_code_make',
  `with own as (
     insert into referral_codes (user_id, project_id, code, created_at) values (:userId, :projectId, :newCode, :now)
     on conflict (user_id) do update set code = referral_codes.code returning code
   )
   select code, (select count(*) from referrals where referrer_id = :userId)::int as count from own`,
);

const characters = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 80 random bits: nobody finds the code of another user by trying. */
function newCode(): string {
  return `ref-${Array.from({ length: 16 }, () => characters[randomInt(characters.length)]).join('')}`;
}
