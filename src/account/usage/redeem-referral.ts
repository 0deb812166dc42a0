import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { caller, change } from '../../rpc/context.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { usageToMessage } from '../message.ts';
import { requireUsage } from './quota.ts';
import { referralLimit } from './referral.ts';
import { readUsage } from './usage.ts';

export function redeemReferral({ now, usage }: AccountDeps): AccountMethods['redeemReferral'] {
  return async ({ code }, context) => {
    const quotas = requireUsage(usage);
    const { projectId, userId } = caller(context);
    const state = await change(context, async (em) => {
      const redeemed = normalize(code);
      await redeem(em, { projectId, userId, code: redeemed }, now());
      audit(em, context, { action: 'referral.redeem', entityId: redeemed }, now());
      return readUsage(em, { projectId, userId }, quotas, now());
    });
    return { usage: usageToMessage(state) };
  };
}

/** As codes are stored. */
function normalize(code: string): string {
  return code.trim().toLowerCase();
}

// The code is locked, so that parallel calls with one code are counted one after the other.
const lockReferrer = statement<{ userId: string }, { projectId: string; code: string }>(
  'referrer_lock',
  `select r.user_id as "userId" from referral_codes r join users u on u.id = r.user_id
   where r.project_id = :projectId and r.code = :code and u.deleted_at is null for update of r`,
);

interface Pair {
  readonly referredId: string;
  /** Null when nobody has the code. */
  readonly referrerId: string | null;
}

const refer = statement<{ id: string }, Pair & { projectId: string; limit: number; now: Date }>(
  'referral_redeem',
  `insert into referrals (referred_id, project_id, referrer_id, created_at)
   select :referredId, :projectId, :referrerId, :now
   where (select count(*) from referrals where referrer_id = :referrerId) < :limit
   on conflict do nothing returning referred_id as id`,
);

const history = statement<{ isReferred: boolean; isMutual: boolean }, Pair>(
  'referral_history',
  `select exists (select 1 from referrals where referred_id = :referredId) as "isReferred",
     exists (select 1 from referrals where referred_id = :referrerId and referrer_id = :referredId) as "isMutual"`,
);

/**
 * Records who referred a user. Throws OWN_REFERRAL_CODE, REFERRAL_ALREADY_REDEEMED, REFERRAL_CODE_NOT_FOUND,
 * MUTUAL_REFERRAL or REFERRAL_LIMIT_REACHED.
 */
async function redeem(
  em: EntityManager,
  { projectId, userId, code }: { projectId: string; userId: string; code: string },
  now: Date,
): Promise<void> {
  const [referrer] = await lockReferrer(em, { projectId, code });
  if (referrer?.userId === userId) throw new Refusal('OWN_REFERRAL_CODE');
  const pair = { referredId: userId, referrerId: referrer?.userId ?? null };
  if (referrer && (await refer(em, { ...pair, projectId, limit: referralLimit, now })).length === 1) return;
  const [seen] = await history(em, pair);
  if (seen!.isReferred) throw new Refusal('REFERRAL_ALREADY_REDEEMED');
  if (!referrer) throw new Refusal('REFERRAL_CODE_NOT_FOUND');
  throw new Refusal(seen!.isMutual ? 'MUTUAL_REFERRAL' : 'REFERRAL_LIMIT_REACHED');
}
