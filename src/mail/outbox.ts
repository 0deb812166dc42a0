import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import type { Claimed } from './claim.ts';
import { Mail } from './mail.ts';
import type { Message } from './mail-messages.ts';

const purpose = 'mail';

// A mail whose one-time value was not issued is not sent, nor a notice to a user without an address. The statement is the same,
// so the response time does not reveal it.
const insertMail = statement<{ id: string }, { mail: string; userId: string | null }>(
  'mail_enqueue',
  `${insertRow(Mail, ':mail')}
   where added.kind = 'account_invite' or (added.token_id is null and added.recipient <> '')
     or exists (select 1 from one_time_tokens t where t.user_id = :userId and t.id = added.token_id)
   returning id`,
);

/** Mails that are counted, whatever the length of the queue. */
const mostCounted = 10_000;

const measure = statement<{ length: number; oldest: number | null }, { now: Date }>(
  'mail_queue',
  `select count(*)::int as length, extract(epoch from :now::timestamptz - min(q.created_at))::float8 as oldest
   from (select created_at from mail_outbox where state = 'queued' order by due_at limit ${mostCounted}) q`,
  { isByIndex: true },
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
    this.announce();
  }

  /** Has the queue worked through at once, for a statement that has inserted a drafted mail. */
  announce(): void {
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
    const more = {
      id,
      tokenId: tokenId ?? null,
      sealed,
      state: 'queued',
      attempts: 0,
      doubts: 0,
      createdAt: now,
      dueAt: now,
    };
    return rowOf(Object.assign(new Mail(), rest, more));
  }

  /** The variables of a claimed mail. */
  unseal({ id, sealed }: Claimed): Record<string, string> {
    return JSON.parse(this.#keys.open(purpose, id, sealed).toString());
  }

  /** The number of queued mails and the age of the oldest in seconds, of the ten thousand that are due first. */
  async measure(autocommit: Autocommit, now: Date): Promise<{ length: number; oldest: number }> {
    const [row] = await measure(autocommit, { now });
    return { length: row!.length, oldest: Math.max(0, row!.oldest ?? 0) };
  }
}
