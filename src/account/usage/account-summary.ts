import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import type { User } from '../../user/user.ts';
import { type ShownAccount, shownToMember } from '../shown-account.ts';
import { isSubscribed, type Quotas, quotaOf, referralsSql, subjectSql } from './quota.ts';
import { countOf, type UsageState } from './usage.ts';

/** The account that a user is in and their usage, as JSON from the database: times are texts. */
export interface AccountSummary {
  /** Null for guests. */
  readonly account: ShownAccount | null;
  readonly isGuest: boolean;
  readonly createdAt: string;
  readonly referrals: number;
  /** Of the month that was last counted in. Null before anything was counted. */
  readonly used: string | null;
  readonly resetsAt: string | null;
}

/**
 * SQL of an AccountSummary, for statements with the user's id as a parameter. SignIn reads it in the statement that writes
 * the session, without another round trip.
 */
export function accountSummaryOf(userId: string): string {
  return `(select jsonb_build_object(
       'account', ${shownToMember('u.current_account_id', userId)},
       'isGuest', u.is_anonymous, 'createdAt', u.created_at, 'referrals', ${referralsSql(userId)},
       'used', c.used::text, 'resetsAt', c.resets_at)
     from users u left join usage_counters c
       on c.project_id = u.project_id and c.subject = ${subjectSql(userId)}
     where u.id = ${userId} and u.deleted_at is null)`;
}

/** The same for a user who was created with the account a moment ago. */
export function summaryOfNew({ createdAt }: Pick<User, 'createdAt'>, account: ShownAccount): AccountSummary {
  return { account, isGuest: false, createdAt: createdAt.toISOString(), referrals: 0, used: null, resetsAt: null };
}

const read = statement<{ summary: AccountSummary | null }, { projectId: string; userId: string }>(
  'account_summary',
  `select ${accountSummaryOf(':userId')} as summary from users
   where project_id = :projectId and id = :userId`,
);

/** Throws USER_NOT_FOUND. */
export async function readAccountSummary(
  on: EntityManager | Autocommit,
  projectId: string,
  userId: string,
): Promise<AccountSummary> {
  const [row] = await read(on, { projectId, userId });
  if (!row?.summary) throw new Refusal('USER_NOT_FOUND');
  return row.summary;
}

/** What a user has used in the current month, and how much they may. */
export function usageOf(summary: AccountSummary, quotas: Quotas, now: Date): UsageState {
  const { isGuest, account, referrals, createdAt } = summary;
  const basis = { isGuest, status: account?.status ?? null, referrals };
  const count = countOf(summary, new Date(createdAt), now);
  return { limit: quotaOf(basis, quotas), isSubscribed: isSubscribed(basis), ...count };
}
