import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import type { User } from '../user/user.ts';
import { accountNameOf, randomDisplayCode } from './account.ts';
import type { Plan } from './billing/subscription.ts';

/** An account to open, before its display code is drawn. */
export interface AccountDraft extends Plan {
  readonly accountId: string;
  readonly projectId: string;
  readonly name: string;
  readonly ownerId: string;
  readonly membershipId: string;
  /** Null when the owner registered without one. */
  readonly inviteCodeId: string | null;
}

/** The values of `openingAccount`. */
export interface NewAccount extends AccountDraft {
  readonly displayCode: string;
  readonly now: Date;
}

export function draftAccount(
  owner: Pick<User, 'id' | 'projectId' | 'name' | 'email'>,
  plan: Plan,
  inviteCodeId: string | null,
  now: Date,
): AccountDraft {
  const { projectId, id: ownerId } = owner;
  const [accountId, membershipId] = [uuidv7(now), uuidv7(now)];
  return { ...plan, accountId, membershipId, projectId, ownerId, name: accountNameOf(owner), inviteCodeId };
}

/**
 * SQL of common table expressions that open an account: `opened` inserts it, `joined` its owner's membership, `subscribed` its
 * subscription, and `used` writes the owner into the invite code. They have no rows when the display code is taken. The
 * statement itself sets the owner's current account.
 */
export const openingAccount = `opened as (
     insert into accounts (id, project_id, name, display_code, owner_id, created_at, updated_at)
     values (:accountId, :projectId, :name, :displayCode, :ownerId, :now, :now)
     on conflict (project_id, display_code) do nothing returning id, name, display_code, owner_id, created_at
   ), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, joined_by, created_at)
     select :membershipId, :projectId, id, :ownerId, 'owner', 'opened', :now from opened returning id, role
   ), subscribed as (
     insert into subscriptions (account_id, project_id, plan, status, current_period_start, current_period_end,
       created_at, updated_at)
     select id, :projectId, :plan, :status, :periodStart, :periodEnd, :now, :now from opened
     returning plan, status, current_period_start, current_period_end
   ), used as (
     update invite_codes set used_by = :ownerId from opened where invite_codes.id = :inviteCodeId
   )`;

const open = statement<{ id: string }, NewAccount>(
  'account_open',
  `with ${openingAccount}, entered as (
     update users set current_account_id = :accountId from opened where users.id = :ownerId
   )
   select id from opened`,
);

// A code is one of 36^8: of a million accounts that a project with three million opens, one needs a second try.
const tries = 20;

/** Sends a statement that opens an account, with another display code while the one drawn is taken. Returns its row. */
export async function withFreeCode<Row>(newCode: () => string, send: (displayCode: string) => Promise<Row[]>) {
  for (let left = tries; left > 0; left--) {
    const [row] = await send(newCode());
    if (row) return row;
  }
  throw new Refusal('TRY_AGAIN');
}

interface OpeningOptions {
  readonly inviteCodeId?: string | null;
  readonly newCode?: () => string;
}

/** Opens an account, makes the user its owner and switches them to it, all in one statement. Returns the account's id. */
export async function openAccount(
  em: EntityManager,
  owner: User,
  plan: Plan,
  now: Date,
  { inviteCodeId = null, newCode = randomDisplayCode }: OpeningOptions = {},
): Promise<string> {
  const draft = draftAccount(owner, plan, inviteCodeId, now);
  await withFreeCode(newCode, (displayCode) => open(em, { ...draft, displayCode, now }));
  return draft.accountId;
}
