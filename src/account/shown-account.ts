import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { SubscriptionStatus } from './billing/subscription.ts';
import type { Place, Role } from './membership.ts';

/** What a member is shown of an account. Times are texts where the row came as JSON, or a transaction read it. */
export interface ShownAccount {
  /** Null, like the role, where the account is read for a backend or an operator. */
  readonly membershipId: string | null;
  readonly id: string;
  readonly name: string;
  readonly displayCode: string;
  readonly ownerId: string | null;
  readonly role: Role | null;
  readonly createdAt: Date | string;
  readonly plan: string;
  readonly status: SubscriptionStatus;
  readonly periodStart: Date | string | null;
  readonly periodEnd: Date | string | null;
}

const accountColumns = `a.id, a.name, a.display_code as "displayCode", a.owner_id as "ownerId", a.created_at as "createdAt", s.plan, s.status, s.current_period_start as "periodStart",
     s.current_period_end as "periodEnd"`;

/** The columns of a ShownAccount, for statements that call the tables `m`, `a` and `s`. */
export const shownColumns = `m.id as "membershipId", m.role, ${accountColumns}`;

/** The same without a member, for statements that call the tables `a` and `s`. */
export const unplacedColumns = `null::uuid as "membershipId", null as role, ${accountColumns}`;

export const shownTables = `memberships m join accounts a on a.id = m.account_id join subscriptions s on s.account_id = a.id`;

const account = statement<ShownAccount, Omit<Place, 'userId'>>(
  'account_any',
  `select ${unplacedColumns} from accounts a join subscriptions s on s.account_id = a.id
   where a.project_id = :projectId and a.id = :accountId`,
);

/** An account as backends and operators see it. Throws ACCOUNT_NOT_FOUND. */
export async function anyAccount(on: Autocommit, place: Omit<Place, 'userId'>): Promise<ShownAccount> {
  const [found] = await account(on, place);
  if (!found) throw new Refusal('ACCOUNT_NOT_FOUND');
  return found;
}

/** SQL: a ShownAccount as JSON, of a member who is the user `u`. Null unless they are one. */
export const shownToMember = (accountId: string, userId: string) =>
  `(select to_jsonb(shown) from (
         select ${shownColumns} from ${shownTables}
         where m.project_id = u.project_id and m.account_id = ${accountId}
           and m.user_id = ${userId}) shown)`;

const accountOfMember = statement<ShownAccount, Place>(
  'account_of_member',
  `select ${shownColumns} from ${shownTables}
   where m.project_id = :projectId and m.account_id = :accountId and m.user_id = :userId`,
);

/** An account as its member sees it. Throws ACCOUNT_NOT_FOUND unless the user is a member. */
export async function accountOf(on: EntityManager | Autocommit, place: Place): Promise<ShownAccount> {
  const [found] = await accountOfMember(on, place);
  if (!found) throw new Refusal('ACCOUNT_NOT_FOUND');
  return found;
}
