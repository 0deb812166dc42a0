import { createHmac } from 'node:crypto';
import { billingSecret } from './people.ts';

export interface BillingEvent {
  readonly type?: string;
  readonly timestamp?: Date;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** A webhook as the billing system sends it, signed as Standard Webhooks has it. */
export function webhook(
  { type = 'subscription.updated', timestamp = new Date(), data }: BillingEvent,
  { id = `evt_${crypto.randomUUID()}`, sentAt = timestamp, secret = billingSecret as Uint8Array } = {},
) {
  const payload = new TextEncoder().encode(JSON.stringify({ type, timestamp: timestamp.toISOString(), data }, null, 2));
  const webhookTimestamp = `${Math.floor(sentAt.getTime() / 1000)}`;
  return { payload, webhookId: id, webhookTimestamp, webhookSignature: sign(id, webhookTimestamp, payload, secret) };
}

export function sign(id: string, timestamp: string, payload: Uint8Array, secret: Uint8Array): string {
  const signed = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(payload);
  return `v1,${signed.digest('base64')}`;
}
