import { randomInt } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { Project } from '../project/project.ts';
import { User } from '../user/user.ts';
import type { SubscriptionStatus } from './billing/subscription.ts';
import type { Role } from './membership.ts';

const AccountTable = defineEntity({
  name: 'Account',
  tableName: 'accounts',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    name: p.string().length(300),
    displayCode: p.string().length(8),
    ownerId: () => p.manyToOne(User).mapToPk().fieldName('owner_id').nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3),
  },
  uniques: [{ name: 'accounts_display_code_key', properties: ['projectId', 'displayCode'] }],
});

/** A group of people who share a subscription. */
export class Account extends AccountTable.class {}
AccountTable.setClass(Account);

const userMail = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

export function randomDisplayCode(): string {
  return Array.from({ length: 8 }, () => userMail[randomInt(userMail.length)]).join('');
}

/** What of an account a member is shown. */
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

const ofMember = statement<ShownAccount>(
  'account_of_member',
  `select ${shownColumns} from ${shownTables} where m.project_id = $1 and m.account_id = $2 and m.user_id = $3`,
);

/** An account as its member sees it. Throws ACCOUNT_NOT_FOUND to everybody else. */
export async function accountOf(
  on: EntityManager | Autocommit,
  projectId: string,
  accountId: string,
  userId: string,
): Promise<ShownAccount> {
  const [found] = await ofMember(on, [projectId, accountId, userId]);
  if (!found) throw new Refusal('ACCOUNT_NOT_FOUND');
  return found;
}

const list = statement<ShownAccount>(
  'accounts_list',
  `select ${shownColumns} from ${shownTables}
   where m.user_id = $1 and ($2::uuid is null or m.id < $2) order by m.id desc limit $3`,
);

/** The accounts a user belongs to, those joined last first, from behind the membership named. */
export function listAccounts(
  autocommit: Autocommit,
  userId: string,
  page: { after: string | undefined; limit: number },
) {
  return list(autocommit, [userId, page.after ?? null, page.limit]);
}

/** What an account is called at first. */
export function accountNameOf({ name, email }: Pick<User, 'name' | 'email'>): string {
  return `${name || email?.split('@')[0]}'s Account`;
}

const open = statement<{ id: string }>(
  'account_open',
  `with opened as (
     insert into accounts (id, project_id, name, display_code, owner_id, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $7, $7) on conflict (project_id, display_code) do nothing returning id
   ), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, created_at)
     select $6, $2, id, $5, 'owner', $7 from opened
   ), subscribed as (
     insert into subscriptions (account_id, project_id, plan, status, current_period_start, current_period_end, created_at, updated_at)
     select id, $2, $8, $9, $10, $11, $7, $7 from opened
   ), entered as (
     update users set current_account_id = $1 from opened where users.id = $5
   ), used as (
     update invite_codes set used_by = $5 from opened where invite_codes.id = $12
   )
   select id from opened`,
);

export interface Plan {
  readonly plan: string;
  readonly status: SubscriptionStatus;
  readonly periodStart: Date | null;
  readonly periodEnd: Date | null;
}

// With 36^8 codes, a second try in a million is what a project with three million accounts sees.
const tries = 20;

/**
 * Opens an account that the user owns and is in from now on. Everything in one statement, the mark on the invite code
 * included. A display code that is taken is replaced by another: no look before, and the transaction lives on. Answers
 * with the account's id.
 */
export async function openAccount(
  em: EntityManager,
  user: User,
  plan: Plan,
  now: Date,
  { inviteCodeId = null, newCode = randomDisplayCode }: { inviteCodeId?: string | null; newCode?: () => string } = {},
): Promise<string> {
  const { projectId, id: ownerId } = user;
  const [id, membershipId] = [uuidv7(now), uuidv7(now)];
  const name = accountNameOf(user);
  const { status, periodStart, periodEnd } = plan;
  for (let left = tries; left > 0; left--) {
    const account = [id, projectId, name, newCode(), ownerId, membershipId, now];
    const rows = await open(em, [...account, plan.plan, status, periodStart, periodEnd, inviteCodeId]);
    if (rows.length === 1) return id;
  }
  throw new Refusal('TRY_AGAIN');
}
