import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import type { Claimed } from './claim.ts';

/** The result of an attempt to send a mail. */
export interface Settlement {
  readonly mail: Claimed;
  readonly state: 'sent' | 'queued' | 'dead';
  /** When a queued mail is tried again. */
  readonly dueAt: Date | null;
  readonly fault: string | null;
  /** Whether the server may have accepted the mail. */
  readonly isInDoubt: boolean;
  /** Whether it was not tried at all, so that the attempt does not count. */
  readonly isGivenBack: boolean;
}

interface Columns {
  readonly ids: readonly string[];
  readonly userIds: readonly (string | null)[];
  readonly attempts: readonly number[];
  readonly states: readonly string[];
  readonly dueAts: readonly (Date | null)[];
  readonly faults: readonly (string | null)[];
  readonly doubts: readonly number[];
  readonly untried: readonly number[];
  readonly now: Date;
}

/**
 * A mail that another dispatcher has claimed since is left alone, unless it was sent.
 *
 * The conditions with `any` are implied by those that follow. They make PostgreSQL look up each row by its key, even if it
 * does not know yet that the queue is long.
 *
 * The lifetime of a value begins with its first mail, so a mail that is delayed for an hour still brings a valid link.
 */
const settleAll = statement<{ woken: number }, Columns>(
  'mail_settle',
  `with presented as materialized (
     select p.id, p.user_id, p.attempts, p.state, p.due_at, p.fault, p.doubts, p.untried
     from unnest(:ids::uuid[], :userIds::uuid[], :attempts::int[], :states::varchar[], :dueAts::timestamptz[],
       :faults::varchar[], :doubts::int[], :untried::int[])
       as p (id, user_id, attempts, state, due_at, fault, doubts, untried)
   ), settled as (
     update mail_outbox m set state = p.state, attempts = m.attempts - p.untried, doubts = m.doubts + p.doubts,
       due_at = coalesce(p.due_at, m.due_at), fault = p.fault,
       ended_at = case when p.state <> 'queued' then :now::timestamptz end,
       sealed = case p.state when 'queued' then m.sealed end
     from presented p where m.id = any(:ids::uuid[]) and m.id = p.id and m.state = 'queued' and (p.state = 'sent' or m.attempts = p.attempts)
     returning m.id, m.recipient, m.token_id, m.state
   ), begun as (
     update one_time_tokens t set sent_at = :now, expires_at = :now::timestamptz + t.lifetime_seconds * interval '1 second'
     from presented p, settled s
     where t.id = any(array(select each.token_id from settled each)) and t.user_id = p.user_id and t.id = s.token_id
       and s.id = p.id and s.state = 'sent' and t.sent_at is null
     returning t.id
   ), woken as (
     update mail_outbox w set due_at = w.created_at where w.attempts = 0 and w.state = 'queued' and w.id = any(array(
       select n.id from settled s cross join lateral (
         select o.id from mail_outbox o where o.recipient = s.recipient and o.state = 'queued' and o.id <> s.id
         order by o.id limit 1) n
       where s.state <> 'queued'))
     returning w.id
   )
   select count(*)::int as woken from woken`,
  { isByIndex: true },
);

const extendLeases = statement<
  { id: string },
  { ids: readonly string[]; attempts: readonly number[]; leasedUntil: Date }
>(
  'mail_extend_leases',
  `update mail_outbox m set due_at = :leasedUntil from unnest(:ids::uuid[], :attempts::int[]) as p (id, attempts)
   where m.id = any(:ids::uuid[]) and m.id = p.id and m.attempts = p.attempts and m.state = 'queued' returning m.id`,
  { isByIndex: true },
);

/** Stores the results of attempts, and returns how many mails waited for one of these to the same address. */
export async function settle(autocommit: Autocommit, settlements: readonly Settlement[], now: Date): Promise<number> {
  const [row] = await settleAll(autocommit, {
    ids: settlements.map(({ mail }) => mail.id),
    userIds: settlements.map(({ mail }) => mail.user_id),
    attempts: settlements.map(({ mail }) => mail.attempts),
    states: settlements.map(({ state }) => state),
    dueAts: settlements.map(({ dueAt }) => dueAt),
    faults: settlements.map(({ fault }) => fault),
    doubts: settlements.map(({ isInDoubt }) => Number(isInDoubt)),
    untried: settlements.map(({ isGivenBack }) => Number(isGivenBack)),
    now,
  });
  return row!.woken;
}

/** Keeps other dispatchers from claiming these mails, while they are sent. */
export async function extend(autocommit: Autocommit, mails: readonly Claimed[], leasedUntil: Date): Promise<void> {
  const ids = mails.map(({ id }) => id);
  await extendLeases(autocommit, { ids, attempts: mails.map(({ attempts }) => attempts), leasedUntil });
}
