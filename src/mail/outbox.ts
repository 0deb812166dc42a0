import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Mail } from './mail.ts';
import type { MailKind, Message } from './mail-messages.ts';

const purpose = 'mail';

// A mail whose one-time value was not issued is not sent. The statement is the same, so the response time does not reveal it.
const insertMail = statement<{ id: string }, { mail: string; userId: string | null }>(
  'mail_enqueue',
  `${insertRow(Mail, ':mail')}
   where added.kind = 'account_invite' or added.token_id is null
     or exists (select 1 from one_time_tokens t where t.user_id = :userId and t.id = added.token_id)
   returning id`,
);

/**
 * SQL that is true for a mail whose one-time value or invitation has been neither used nor revoked, and has not expired. The
 * state of the user does not matter here. One CASE per mail, because for an EXISTS the planner would hash all valid values
 * for every batch.
 */
const isStillWanted = (mail: string) =>
  `case when ${mail}.token_id is null then true
     when ${mail}.kind = 'account_invite' then coalesce((
       select i.used_at is null and i.revoked_at is null and i.expires_at > :now
       from account_invites i where i.id = ${mail}.token_id), false)
     else coalesce((
       select t.used_at is null and t.voided_at is null and t.expires_at > :now
       from one_time_tokens t where t.user_id = ${mail}.user_id and t.id = ${mail}.token_id), false) end`;

// For values that expired. Using or revoking a value cancels its mails in the same statement.
const cancelExpired = statement<{ id: string }, { now: Date }>(
  'mail_cancel_expired',
  `update mail_outbox m set state = 'cancelled', ended_at = :now, sealed = null
   where m.state = 'queued' and m.due_at <= :now and not (${isStillWanted('m')})
   returning id`,
);

export interface Claimed {
  readonly id: string;
  readonly user_id: string | null;
  readonly kind: MailKind;
  readonly recipient: string;
  readonly locale: string;
  readonly sealed: Buffer;
  readonly attempts: number;
  readonly created_at: Date;
}

// Only the oldest queued mail of each address, so that mails arrive in order.
const claimDue = statement<Claimed, { now: Date; leasedUntil: Date; limit: number }>(
  'mail_claim',
  `update mail_outbox m set due_at = :leasedUntil, attempts = m.attempts + 1
   where m.id in (
     select o.id from mail_outbox o
     where o.state = 'queued' and o.due_at <= :now and (${isStillWanted('o')}) and not exists (
       select 1 from mail_outbox e where e.recipient = o.recipient and e.state = 'queued' and e.id < o.id)
     order by o.due_at limit :limit for update of o skip locked)
   returning m.id, m.user_id, m.kind, m.recipient, m.locale, m.sealed, m.attempts, m.created_at`,
);

// The lifetime of a value begins with its first mail, so a mail that is delayed for an hour still brings a valid link.
const finishSent = statement<{ id: string }, { id: string; userId: string | null; now: Date }>(
  'mail_sent',
  `with sent as (
     update mail_outbox set state = 'sent', ended_at = :now, sealed = null, fault = null
     where id = :id and state = 'queued' returning token_id
   )
   update one_time_tokens t set sent_at = :now, expires_at = :now::timestamptz + t.lifetime_seconds * interval '1 second'
   from sent where t.user_id = :userId and t.id = sent.token_id and t.sent_at is null returning t.id`,
);

const postpone = statement<{ id: string }, { id: string; dueAt: Date; fault: string }>(
  'mail_postpone',
  `update mail_outbox set due_at = :dueAt, fault = :fault where id = :id and state = 'queued' returning id`,
);

const giveUp = statement<{ id: string }, { id: string; now: Date; fault: string }>(
  'mail_give_up',
  `update mail_outbox set state = 'dead', ended_at = :now, sealed = null, fault = :fault
   where id = :id and state = 'queued' returning id`,
);

const measure = statement<{ length: number; oldest: number | null }, { now: Date }>(
  'mail_queue',
  `select count(*)::int as length, extract(epoch from :now::timestamptz - min(created_at))::float8 as oldest
   from mail_outbox where state = 'queued'`,
);

/** The mails to be sent, in the database: a mail is sent if and only if the action it is about was committed. */
export class Outbox {
  readonly #keys: MasterKeys;
  /** With MAIL_MODE=off no mail is enqueued. */
  readonly isOff: boolean;
  readonly #nudge: () => void;

  /** `nudge` is called after each mail that was enqueued. */
  constructor(keys: MasterKeys, isOff = false, nudge: () => void = () => {}) {
    this.#keys = keys;
    this.isOff = isOff;
    this.#nudge = nudge;
  }

  /** Adds a mail to the caller's transaction. */
  async enqueue(em: EntityManager, message: Message, now: Date): Promise<void> {
    const row = this.draft(message, now);
    if (!row) return;
    await insertMail(em, { mail: row, userId: message.userId ?? null });
    this.#nudge();
  }

  /**
   * The row of a mail, for a statement that inserts it together with other rows. It is sent within a second. Null when mail
   * is off.
   */
  draft(message: Message, now: Date): string | null {
    if (this.isOff) return null;
    const { variables, tokenId, ...rest } = message;
    const id = uuidv7(now);
    const sealed = this.#keys.seal(purpose, id, Buffer.from(JSON.stringify(variables)));
    const more = { id, tokenId: tokenId ?? null, sealed, state: 'queued', attempts: 0, createdAt: now, dueAt: now };
    return rowOf(Object.assign(new Mail(), rest, more));
  }

  /** The variables of a claimed mail. */
  unseal({ id, sealed }: Claimed): Record<string, string> {
    return JSON.parse(this.#keys.open(purpose, id, sealed).toString());
  }

  /** Cancels the mails of values that have expired, and returns their number. */
  async cancelExpired(autocommit: Autocommit, now: Date): Promise<number> {
    return (await cancelExpired(autocommit, { now })).length;
  }

  /** At most `limit` mails to send now. No other dispatcher claims them until `leasedUntil`. */
  claim(autocommit: Autocommit, now: Date, leasedUntil: Date, limit: number): Promise<Claimed[]> {
    return claimDue(autocommit, { now, leasedUntil, limit });
  }

  async markSent(autocommit: Autocommit, { id, user_id: userId }: Claimed, now: Date): Promise<void> {
    await finishSent(autocommit, { id, userId, now });
  }

  async retryAt(autocommit: Autocommit, { id }: Claimed, dueAt: Date, fault: string): Promise<void> {
    await postpone(autocommit, { id, dueAt, fault });
  }

  async giveUp(autocommit: Autocommit, { id }: Claimed, now: Date, fault: string): Promise<void> {
    await giveUp(autocommit, { id, now, fault });
  }

  /** The number of queued mails, and the age of the oldest in seconds. */
  async measure(autocommit: Autocommit, now: Date): Promise<{ length: number; oldest: number }> {
    const [row] = await measure(autocommit, { now });
    return { length: row!.length, oldest: Math.max(0, row!.oldest ?? 0) };
  }
}
