import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { type ShownAccount, shownColumns, shownTables } from '../account.ts';
import { nextReset } from './month.ts';

/** How much may be used in a month, by whom. */
export interface Quotas {
  readonly anonymous: number;
  readonly free: number;
  readonly paid: number;
  /** Added for each referral, on both sides. */
  readonly bonus: number;
}

/** The account a user is in and what they have used, as JSON out of the database: times are texts, counts are numbers. */
export interface AccountSummary {
  /** Null for guests. */
  readonly account: ShownAccount | null;
  readonly isGuest: boolean;
  readonly createdAt: string;
  readonly referrals: number;
  /** Of the window that was last counted in; null before anything was. */
  readonly used: number | null;
  readonly resetsAt: string | null;
}

export interface UsageState {
  readonly used: number | bigint;
  readonly limit: number;
  readonly isSubscribed: boolean;
  readonly resetsAt: Date;
}

/** The number of referrals of the user that a statement calls `u`, on either side. Six at most. */
export const referralsOfUser = `((select count(*) from referrals r where r.referrer_id = u.id)
       + (select count(*) from referrals r where r.referred_id = u.id))`;

/** The subject under which a user's usage is counted, for statements that call the user `u`. */
export const subjectOfUser = `('user:' || u.id)`;

/**
 * A AccountSummary, for statements that have the user's id: sign-in asks for it along with what it writes anyway, so that it
 * costs no round trip.
 */
export function accountSummaryOf(userId: string): string {
  return `(select jsonb_build_object(
       'account', (select to_jsonb(shown) from (
         select ${shownColumns} from ${shownTables}
         where m.project_id = u.project_id and m.account_id = u.current_account_id and m.user_id = u.id) shown),
       'isGuest', u.is_anonymous, 'createdAt', u.created_at, 'referrals', ${referralsOfUser},
       'used', c.used, 'resetsAt', c.resets_at)
     from users u left join usage_counters c on c.project_id = u.project_id and c.subject = ${subjectOfUser}
     where u.id = ${userId} and u.deleted_at is null)`;
}

const read = statement<{ summary: AccountSummary | null }>(
  'user_standing',
  `select ${accountSummaryOf('any_user.id')} as summary from users any_user where any_user.project_id = $1 and any_user.id = $2`,
);

/** Throws USER_NOT_FOUND for a user who is not there, or is deleted. */
export async function readAccountSummary(
  on: EntityManager | Autocommit,
  projectId: string,
  userId: string,
): Promise<AccountSummary> {
  const [row] = await read(on, [projectId, userId]);
  if (!row?.summary) throw new Refusal('USER_NOT_FOUND');
  return row.summary;
}

/** What a user has used in the month that is running. */
export function usageOf(summary: AccountSummary, quotas: Quotas, now: Date): UsageState {
  const { isGuest, account, referrals } = summary;
  const isSubscribed = account?.status === 'active';
  const limit = isGuest ? quotas.anonymous : (isSubscribed ? quotas.paid : quotas.free) + quotas.bonus * referrals;
  return { limit, isSubscribed, ...countOf(summary, new Date(summary.createdAt), now) };
}

/** A counter whose window has ended counts nothing, whether or not the next one has begun. */
export function countOf(
  counter: { readonly used: number | bigint | null; readonly resetsAt: Date | string | null },
  anchor: Date,
  now: Date,
): Pick<UsageState, 'used' | 'resetsAt'> {
  const resetsAt = counter.resetsAt && new Date(counter.resetsAt);
  if (counter.used === null || !resetsAt || resetsAt <= now) return { used: 0, resetsAt: nextReset(anchor, now) };
  return { used: counter.used, resetsAt };
}
