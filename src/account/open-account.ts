import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import type { User } from '../user/user.ts';
import { accountNameOf, randomDisplayCode } from './account.ts';
import type { Plan } from './billing/subscription.ts';

interface NewAccount extends Plan {
  readonly accountId: string;
  readonly projectId: string;
  readonly name: string;
  readonly displayCode: string;
  readonly ownerId: string;
  readonly membershipId: string;
  /** Null when the owner registered without one. */
  readonly inviteCodeId: string | null;
  readonly now: Date;
}

// No row when the display code is taken.
const open = statement<{ id: string }, NewAccount>(
  'account_open',
  `with opened as (
     insert into accounts (id, project_id, name, display_code, owner_id, created_at, updated_at)
     values (:accountId, :projectId, :name, :displayCode, :ownerId, :now, :now)
     on conflict (project_id, display_code) do nothing returning id
   ), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, joined_by, created_at)
     select :membershipId, :projectId, id, :ownerId, 'owner', 'opened', :now from opened
   ), subscribed as (
     insert into subscriptions (account_id, project_id, plan, status, current_period_start, current_period_end,
       created_at, updated_at)
     select id, :projectId, :plan, :status, :periodStart, :periodEnd, :now, :now from opened
   ), entered as (
     update users set current_account_id = :accountId from opened where users.id = :ownerId
   ), used as (
     update invite_codes set used_by = :ownerId from opened where invite_codes.id = :inviteCodeId
   )
   select id from opened`,
);

// A code is one of 36^8: of a million accounts that a project with three million opens, one needs a second try.
const tries = 20;

/**
 * Opens an account, makes the user its owner and switches them to it, and records on the invite code who used it, all in
 * one statement. Draws another display code while the one drawn is taken. Returns the account's id.
 */
export async function openAccount(
  em: EntityManager,
  owner: User,
  plan: Plan,
  now: Date,
  { inviteCodeId = null, newCode = randomDisplayCode }: { inviteCodeId?: string | null; newCode?: () => string } = {},
): Promise<string> {
  const { projectId, id: ownerId } = owner;
  const [accountId, membershipId] = [uuidv7(now), uuidv7(now)];
  const draft = { ...plan, accountId, membershipId, projectId, ownerId, name: accountNameOf(owner), inviteCodeId, now };
  for (let left = tries; left > 0; left--) {
    const opened = await open(em, { ...draft, displayCode: newCode() });
    if (opened.length === 1) return accountId;
  }
  throw new Refusal('TRY_AGAIN');
}
