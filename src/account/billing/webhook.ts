import { createHmac, timingSafeEqual } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/postgresql';
import { z } from 'zod';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import type { SubscriptionStatus } from './subscription.ts';

/** A webhook as it came. */
export interface Webhook {
  readonly payload: Uint8Array;
  readonly webhookId: string;
  readonly webhookTimestamp: string;
  readonly webhookSignature: string;
}

const toleranceMs = 5 * 60_000;

/**
 * Throws BILLING_SIGNATURE_INVALID unless one of the secrets has signed exactly these bytes, under this id and time, not
 * five minutes ago or ahead (Standard Webhooks 1.0.0). Several secrets are accepted, and several signatures stand on one
 * webhook, while the billing system changes from one to the next.
 */
export function verifyWebhook(webhook: Webhook, secrets: readonly Uint8Array[], now: Date): void {
  const { payload, webhookId, webhookTimestamp, webhookSignature } = webhook;
  const signed = Buffer.concat([Buffer.from(`${webhookId}.${webhookTimestamp}.`), payload]);
  const given = webhookSignature.split(' ').map(readSignature);
  const isSigned = secrets.some((secret) => {
    const right = createHmac('sha256', secret).update(signed).digest();
    return given.some((each) => each?.length === right.length && timingSafeEqual(each, right));
  });
  const isCanonical = /^[1-9]\d{0,11}$/.test(webhookTimestamp);
  const isTimely = isCanonical && Math.abs(Number(webhookTimestamp) * 1000 - now.getTime()) <= toleranceMs;
  if (!isSigned || !isTimely) throw new Refusal('BILLING_SIGNATURE_INVALID');
}

function readSignature(text: string): Buffer | undefined {
  return text.startsWith('v1,') ? Buffer.from(text.slice(3), 'base64') : undefined;
}

/** By Stripe's names. Whatever is not surely paid for grants nothing. */
const statuses: Readonly<Record<string, SubscriptionStatus>> = {
  active: 'active',
  trialing: 'trialing',
  past_due: 'past_due',
  unpaid: 'past_due',
  incomplete: 'past_due',
  paused: 'past_due',
  canceled: 'canceled',
  incomplete_expired: 'canceled',
};

const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const types = ['subscription.created', 'subscription.updated', 'subscription.deleted', 'invoice.paid'] as const;

const anyEvent = z.object({ type: z.string().min(1).max(128) });
const subscriptionEvent = z.object({
  type: z.enum(types),
  timestamp: time,
  data: z.object({
    account_id: z.uuid(),
    status: z.enum(Object.keys(statuses)),
    plan: z.string().min(1).max(64).optional(),
    current_period_start: time.optional(),
    current_period_end: time.optional(),
  }),
});

export interface SubscriptionChange {
  readonly accountId: string;
  readonly status: SubscriptionStatus;
  readonly plan: string | undefined;
  readonly periodStart: Date | undefined;
  readonly periodEnd: Date | undefined;
  readonly happenedAt: Date;
}

/** What an event says of a subscription; undefined when it is of a type that says nothing. Throws BILLING_EVENT_INVALID. */
export function readBillingEvent(payload: Uint8Array): SubscriptionChange | undefined {
  const json = parse(payload);
  const { type } = check(anyEvent, json);
  if (!(types as readonly string[]).includes(type)) return undefined;
  const { data, timestamp } = check(subscriptionEvent, json);
  return {
    accountId: data.account_id,
    status: type === 'subscription.deleted' ? 'canceled' : statuses[data.status]!,
    plan: data.plan,
    periodStart: data.current_period_start,
    periodEnd: data.current_period_end,
    happenedAt: timestamp,
  };
}

function parse(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    throw new Refusal('BILLING_EVENT_INVALID');
  }
}

function check<T>(schema: z.ZodType<T>, json: unknown): T {
  const read = schema.safeParse(json);
  if (!read.success) throw new Refusal('BILLING_EVENT_INVALID');
  return read.data;
}

const note = statement<{ id: string }>(
  'billing_event_note',
  `insert into billing_events (project_id, event_id, received_at) values ($1, $2, $3)
   on conflict (project_id, event_id) do nothing returning event_id as id`,
);

// Of two events of one moment the one that comes last counts.
const apply = statement<{ ownerId: string | null }>(
  'subscription_apply',
  `update subscriptions set status = $3, plan = coalesce($4, plan), current_period_start = coalesce($5, current_period_start),
     current_period_end = coalesce($6, current_period_end), last_event_at = $7, updated_at = $8
   where project_id = $1 and account_id = $2 and (last_event_at is null or last_event_at <= $7)
   returning (select owner_id from accounts where id = account_id) as "ownerId"`,
);

const isThere = statement<{ id: string }>(
  'subscription_look',
  'select account_id as id from subscriptions where project_id = $1 and account_id = $2',
);

export type BillingOutcome = 'applied' | 'duplicate' | 'stale' | 'ignored';

/**
 * Applies an event once and never over a later one. Of any number of calls with one event the first goes on, and the
 * others wait for it: when it fails, the next one is the first. Answers with the owner who answers for the account it was
 * applied to, if there is one.
 */
export async function applyBillingEvent(
  em: EntityManager,
  projectId: string,
  eventId: string,
  change: SubscriptionChange | undefined,
  now: Date,
): Promise<{ outcome: BillingOutcome; ownerId?: string | null }> {
  if ((await note(em, [projectId, eventId, now])).length === 0) return { outcome: 'duplicate' };
  if (!change) return { outcome: 'ignored' };
  const { accountId, status, plan, periodStart, periodEnd, happenedAt } = change;
  const values = [status, plan ?? null, periodStart ?? null, periodEnd ?? null, happenedAt, now];
  const [applied] = await apply(em, [projectId, accountId, ...values]);
  if (applied) return { outcome: 'applied', ownerId: applied.ownerId };
  if ((await isThere(em, [projectId, accountId])).length === 0) throw new Refusal('ACCOUNT_NOT_FOUND');
  return { outcome: 'stale' };
}
