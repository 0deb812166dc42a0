import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { Refusal } from '../../errors.ts';
import type { SubscriptionStatus } from './subscription.ts';

/** A webhook as it was received. */
export interface Webhook {
  readonly payload: Uint8Array;
  readonly webhookId: string;
  readonly webhookTimestamp: string;
  readonly webhookSignature: string;
}

const toleranceMs = 5 * 60_000;

/**
 * Throws BILLING_SIGNATURE_INVALID unless one of the secrets has signed exactly these bytes under this id and this time, at
 * most five minutes ago or ahead (Standard Webhooks 1.0.0). While the billing system rotates its secret, several secrets
 * are accepted, and a webhook has several signatures.
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

/** By Stripe's names. Only a subscription that is paid for becomes active. */
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

/** The types of events that change a subscription, and their order when they have the same time. */
const ranks = {
  'subscription.created': 0,
  'subscription.updated': 1,
  'invoice.paid': 1,
  'subscription.deleted': 2,
} as const;

const anyEvent = z.object({ type: z.string().min(1).max(128) });
const subscriptionEvent = z.object({
  type: z.enum(Object.keys(ranks) as (keyof typeof ranks)[]),
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
  /** Its place among the events of its time. */
  readonly rank: number;
}

/** The change of a subscription in an event. Undefined for other types of events. Throws BILLING_EVENT_INVALID. */
export function readBillingEvent(payload: Uint8Array): SubscriptionChange | undefined {
  const json = parse(payload);
  const { type } = check(anyEvent, json);
  if (!(type in ranks)) return undefined;
  const { data, timestamp } = check(subscriptionEvent, json);
  return {
    accountId: data.account_id,
    status: type === 'subscription.deleted' ? 'canceled' : statuses[data.status]!,
    plan: data.plan,
    periodStart: data.current_period_start,
    periodEnd: data.current_period_end,
    happenedAt: timestamp,
    rank: ranks[type as keyof typeof ranks],
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
