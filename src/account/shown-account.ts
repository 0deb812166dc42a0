import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { SubscriptionStatus } from './billing/subscription.ts';
import type { Place, Role } from './membership.ts';

/** What a member is shown of an account. Times are texts where the row came as JSON, or a transaction read it. */
export interface ShownAccount {
  readonly membershipId: string;
  readonly id: string;
  readonly name: string;
  readonly displayCode: string;
  readonly ownerId: string | null;
  readonly role: Role;
  readonly createdAt: Date | string;
  readonly plan: string;
  readonly status: SubscriptionStatus;
  readonly periodStart: Date | string | null;
  readonly periodEnd: Date | string | null;
}

/** The columns of a ShownAccount, for statements that call the tables `m`, `a` and `s`. */
export const shownColumns = `m.id as "membershipId", a.id, a.name, a.display_code as "displayCode", a.owner_id as "ownerId",
     m.role, a.created_at as "createdAt", s.plan, s.status, s.current_period_start as "periodStart",
     s.current_period_end as "periodEnd"`;

export const shownTables = `memberships m join accounts a on a.id = m.account_id join subscriptions s on s.account_id = a.id`;

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
