import type { EntityManager } from '@mikro-orm/postgresql';
import { BillingEventOutcome } from '../../../gen/gatehouse/v1/account_pb.ts';
import { audit } from '../../audit/event.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { change, projectOf } from '../../rpc/context.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import type { SubscriptionStatus } from './subscription.ts';
import { readBillingEvent, type SubscriptionChange, verifyWebhook } from './webhook.ts';

const { APPLIED, DUPLICATE, STALE, IGNORED } = BillingEventOutcome;

export function applyBillingEvent({ now, billingSecrets }: AccountDeps): AccountMethods['applyBillingEvent'] {
  return async (webhook, context) => {
    verifyWebhook(webhook, billingSecrets, now());
    const key = { projectId: projectOf(context), eventId: webhook.webhookId };
    const event = readBillingEvent(webhook.payload);
    return change(context, async (em) => {
      const { outcome, isChanged, ownerId } = await applyOnce(em, key, event, now());
      if (isChanged) {
        const entityId = event!.accountId;
        audit(em, context, { action: 'account.subscription', userId: ownerId, entityId }, now());
      }
      return { outcome };
    });
  };
}

interface EventKey {
  readonly projectId: string;
  readonly eventId: string;
}

const note = statement<{ id: string }, EventKey & { now: Date }>(
  'billing_event_note',
  `insert into billing_events (project_id, event_id, received_at) values (:projectId, :eventId, :now)
   on conflict (project_id, event_id) do nothing returning event_id as id`,
);

interface AppliedChange {
  readonly projectId: string;
  readonly accountId: string;
  readonly status: SubscriptionStatus;
  /** Null leaves the column unchanged, like a null start or end of the period. */
  readonly plan: string | null;
  readonly periodStart: Date | null;
  readonly periodEnd: Date | null;
  readonly happenedAt: Date;
  readonly rank: number;
  readonly now: Date;
}

// Of two events with one time and rank the one that is received last counts.
const isLatest =
  '(last_event_at is null or (last_event_at, last_event_rank) <= (:happenedAt::timestamptz, :rank::smallint))';
const order = '(floor(extract(epoch from :happenedAt::timestamptz) * 1000)::bigint * 4 + :rank::smallint)';

/** SQL: whether the event has a value for the column, and no later event has set it. */
const sets = (column: string, value: string) => `(${value} is not null and coalesce(${column}_order, 0) <= ${order})`;
/** SQL: assigns the column and its order, if `sets` is true. */
const setOnce = (column: string, value: string) =>
  `${column} = case when ${sets(column, value)} then ${value} else ${column} end,
   ${column}_order = case when ${sets(column, value)} then ${order} else ${column}_order end`;

const optional = [
  ['plan', ':plan::text'],
  ['current_period_start', ':periodStart::timestamptz'],
  ['current_period_end', ':periodEnd::timestamptz'],
] as const;

// An event may lack a column that an earlier event has. So each column is ordered by itself: whatever the order of
// delivery is, the result is that of the events in their order.
const apply = statement<{ ownerId: string | null; isLatest: boolean }, AppliedChange>(
  'subscription_apply',
  `update subscriptions set status = case when ${isLatest} then :status else status end,
     last_event_at = case when ${isLatest} then :happenedAt::timestamptz else last_event_at end,
     last_event_rank = case when ${isLatest} then :rank::smallint else last_event_rank end,
     ${optional.map(([column, value]) => setOnce(column, value)).join(', ')}, updated_at = :now
   where project_id = :projectId and account_id = :accountId
     and (${isLatest} or ${optional.map(([column, value]) => sets(column, value)).join(' or ')})
   returning (select owner_id from accounts where id = account_id) as "ownerId",
     (last_event_at, last_event_rank) = (:happenedAt::timestamptz, :rank::smallint) as "isLatest"`,
);

const look = statement<{ id: string }, { projectId: string; accountId: string }>(
  'subscription_look',
  'select account_id as id from subscriptions where project_id = :projectId and account_id = :accountId',
);

/**
 * Applies an event once, and never over a later one. A stale event may still set what no later event has set. Of parallel calls with one event the first applies it. The others wait
 * until its transaction has ended; when that fails, the next one applies the event. Returns the account's owner, if it has
 * one, for the audit event.
 */
async function applyOnce(
  em: EntityManager,
  key: EventKey,
  event: SubscriptionChange | undefined,
  now: Date,
): Promise<{ outcome: BillingEventOutcome; isChanged?: boolean; ownerId?: string | undefined }> {
  if ((await note(em, { ...key, now })).length === 0) return { outcome: DUPLICATE };
  if (!event) return { outcome: IGNORED };
  const { projectId } = key;
  const { accountId, plan = null, periodStart = null, periodEnd = null } = event;
  const [applied] = await apply(em, { ...event, plan, periodStart, periodEnd, projectId, now });
  if (applied)
    return { outcome: applied.isLatest ? APPLIED : STALE, isChanged: true, ownerId: applied.ownerId ?? undefined };
  if ((await look(em, { projectId, accountId })).length === 0) throw new Refusal('ACCOUNT_NOT_FOUND');
  return { outcome: STALE };
}
