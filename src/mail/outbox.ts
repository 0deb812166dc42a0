import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Mail } from './mail.ts';
import type { MailKind, Message } from './mail-messages.ts';

const purpose = 'mail';

// Whose value was not issued gets no mail, and whoever waits for the answer cannot tell.
const insertMail = statement<{ id: string }>(
  'mail_enqueue',
  `${insertRow(Mail, '$1')}
   where added.kind = 'account_invite' or added.token_id is null
     or exists (select 1 from one_time_tokens t where t.id = added.token_id)
   returning id`,
);

/**
 * Whether a mail needs no value, or the one it brings, or its invitation, is still good. Asked mail by mail: of an EXISTS
 * the planner would rather make a hash of all good values there are, and that for every batch.
 */
function hasItsValue(mail: string): string {
  return `case when ${mail}.token_id is null then true
     when ${mail}.kind = 'account_invite' then coalesce((
       select i.used_at is null and i.revoked_at is null and i.expires_at > $1
       from account_invites i where i.id = ${mail}.token_id), false)
     else coalesce((
       select t.used_at is null and t.voided_at is null and t.expires_at > $1
       from one_time_tokens t where t.id = ${mail}.token_id), false) end`;
}

// Values that died by themselves; those that were used or voided took their mails along.
const cancelExpired = statement<{ id: string }>(
  'mail_cancel_expired',
  `update mail_outbox m set state = 'cancelled', ended_at = $1, sealed = null
   where m.state = 'queued' and m.due_at <= $1 and not (${hasItsValue('m')})
   returning id`,
);

export interface Claimed {
  readonly id: string;
  readonly kind: MailKind;
  readonly recipient: string;
  readonly locale: string;
  readonly sealed: Buffer;
  readonly attempts: number;
  readonly created_at: Date;
}

// Of each address only the oldest mail, and that as long as it is queued: they arrive in their order.
const claimDue = statement<Claimed>(
  'mail_claim',
  `update mail_outbox m set due_at = $2, attempts = m.attempts + 1
   where m.id in (
     select o.id from mail_outbox o
     where o.state = 'queued' and o.due_at <= $1 and (${hasItsValue('o')}) and not exists (
       select 1 from mail_outbox e where e.recipient = o.recipient and e.state = 'queued' and e.id < o.id)
     order by o.due_at limit $3 for update of o skip locked)
   returning m.id, m.kind, m.recipient, m.locale, m.sealed, m.attempts, m.created_at`,
);

// Only now the value's time begins: a mail that took an hour to leave brings a link that is good all the same.
const finishSent = statement<{ id: string }>(
  'mail_sent',
  `with sent as (
     update mail_outbox set state = 'sent', ended_at = $2, sealed = null, fault = null
     where id = $1 and state = 'queued' returning token_id
   )
   update one_time_tokens t set sent_at = $2, expires_at = $2::timestamptz + t.lifetime_seconds * interval '1 second'
   from sent where t.id = sent.token_id and t.sent_at is null returning t.id`,
);

const postpone = statement<{ id: string }>(
  'mail_postpone',
  `update mail_outbox set due_at = $2, fault = $3 where id = $1 and state = 'queued' returning id`,
);

const giveUp = statement<{ id: string }>(
  'mail_give_up',
  `update mail_outbox set state = 'dead', ended_at = $2, sealed = null, fault = $3
   where id = $1 and state = 'queued' returning id`,
);

const measure = statement<{ length: number; oldest: number | null }>(
  'mail_queue',
  `select count(*)::int as length, extract(epoch from $1::timestamptz - min(created_at))::float8 as oldest
   from mail_outbox where state = 'queued'`,
);

/** Mails on their way, in the database: they leave exactly if what they tell of was committed. */
export class Outbox {
  readonly #keys: MasterKeys;
  /** There is no mail. */
  readonly isOff: boolean;
  readonly #nudge: () => void;

  /** `nudge` hears of every mail a moment after it was enqueued. With `isOff` there are none. */
  constructor(keys: MasterKeys, isOff = false, nudge: () => void = () => {}) {
    this.#keys = keys;
    this.isOff = isOff;
    this.#nudge = nudge;
  }

  /** Adds a mail to the caller's transaction. */
  async enqueue(em: EntityManager, message: Message, now: Date): Promise<void> {
    const row = this.draft(message, now);
    if (!row) return;
    await insertMail(em, [row]);
    this.#nudge();
  }

  /**
   * The row of a mail, for a statement that inserts it along with other things; it leaves within a second. Null where
   * there is no mail.
   */
  draft(message: Message, now: Date): string | null {
    if (this.isOff) return null;
    const { variables, tokenId, ...rest } = message;
    const id = uuidv7(now);
    const sealed = this.#keys.seal(purpose, id, Buffer.from(JSON.stringify(variables)));
    const more = { id, tokenId: tokenId ?? null, sealed, state: 'queued', attempts: 0, createdAt: now, dueAt: now };
    return rowOf(Object.assign(new Mail(), rest, more));
  }

  /** What stands for the placeholders of a mail that was claimed. */
  unseal({ id, sealed }: Claimed): Record<string, string> {
    return JSON.parse(this.#keys.open(purpose, id, sealed).toString());
  }

  /** Takes the mails of values that can no longer be used from the queue, and tells how many. */
  async cancelExpired(autocommit: Autocommit, now: Date): Promise<number> {
    return (await cancelExpired(autocommit, [now])).length;
  }

  /** Mails to send now. Nobody else gets them until `leasedUntil`. */
  claim(autocommit: Autocommit, now: Date, leasedUntil: Date, most: number): Promise<Claimed[]> {
    return claimDue(autocommit, [now, leasedUntil, most]);
  }

  async markSent(autocommit: Autocommit, { id }: Claimed, now: Date): Promise<void> {
    await finishSent(autocommit, [id, now]);
  }

  async retryAt(autocommit: Autocommit, { id }: Claimed, at: Date, fault: string): Promise<void> {
    await postpone(autocommit, [id, at, fault]);
  }

  async bury(autocommit: Autocommit, { id }: Claimed, now: Date, fault: string): Promise<void> {
    await giveUp(autocommit, [id, now, fault]);
  }

  /** How many mails wait, and for how many seconds the oldest does. */
  async measure(autocommit: Autocommit, now: Date): Promise<{ length: number; oldest: number }> {
    const [row] = await measure(autocommit, [now]);
    return { length: row!.length, oldest: Math.max(0, row!.oldest ?? 0) };
  }
}
