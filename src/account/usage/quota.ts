import { Refusal } from '../../errors.ts';
import type { SubscriptionStatus } from '../billing/subscription.ts';

/** How much may be used in a month. */
export interface Quotas {
  readonly anonymous: number;
  readonly free: number;
  readonly paid: number;
  /** Added for each referral, on both sides. */
  readonly bonus: number;
}

/** What the quota of a user depends on. */
export interface QuotaBasis {
  readonly isGuest: boolean;
  /** Of the account the user is in. Null without an account. */
  readonly status: SubscriptionStatus | null;
  readonly referrals: number;
}

/** Only an active subscription raises the quota; a trial costs nothing but a registration. */
export function isSubscribed({ status }: Pick<QuotaBasis, 'status'>): boolean {
  return status === 'active';
}

export function quotaOf(basis: QuotaBasis, { anonymous, free, paid, bonus }: Quotas): bigint {
  if (basis.isGuest) return BigInt(anonymous);
  return BigInt(isSubscribed(basis) ? paid : free) + BigInt(bonus) * BigInt(basis.referrals);
}

/**
 * SQL of both rules above, for statements that write usage under the quota of the same moment. Its arguments are SQL
 * expressions; the statement's values include the Quotas. A test holds each rule and its SQL together.
 */
export const isSubscribedSql = (status: string) => `coalesce(${status} = 'active', false)`;

export const quotaSql = ({ isGuest, status, referrals }: Record<keyof QuotaBasis, string>) =>
  `case when ${isGuest} then :anonymous::int8
     else case when ${isSubscribedSql(status)} then :paid::int8 else :free::int8 end + :bonus::int8 * ${referrals} end`;

/** SQL of the number of referrals of a user, on either side. Six at most. */
export const referralsSql = (userId: string) =>
  `((select count(*) from referrals r where r.referrer_id = ${userId})
       + (select count(*) from referrals r where r.referred_id = ${userId}))`;

/** SQL of the subject under which the usage of a user is counted. */
export const subjectSql = (userId: string) => `('user:' || ${userId}::uuid)`;

/**
 * SQL of a user's quota at this moment: one row, none for a user who does not exist. An account raises the quota of its
 * members only, so the membership is read even though the user's row names an account.
 */
export const quotaOfUser = `select u.project_id, u.created_at,
       ${isSubscribedSql('s.status')} as subscribed,
       ${quotaSql({ isGuest: 'u.is_anonymous', status: 's.status', referrals: referralsSql(':userId') })} as quota
     from users u
       left join memberships m on m.project_id = u.project_id and m.account_id = u.current_account_id
         and m.user_id = :userId
       left join subscriptions s on s.account_id = m.account_id
     where u.project_id = :projectId and u.id = :userId and u.deleted_at is null`;

/** Throws USAGE_DISABLED where USAGE is off. */
export function requireUsage(quotas: Quotas | undefined): Quotas {
  if (!quotas) throw new Refusal('USAGE_DISABLED');
  return quotas;
}
