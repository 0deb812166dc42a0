import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { type Delivery, DeliveryFault } from './delivery.ts';
import type { Claimed, Outbox } from './outbox.ts';
import { mostAttempts, pauseAfter } from './retry-schedule.ts';
import type { Templates } from './templates.ts';

/** The outcome of an attempt to send a mail. */
export type MailOutcome = 'sent' | 'retried' | 'dead' | 'cancelled';

interface Deps {
  readonly outbox: Outbox;
  readonly templates: Templates;
  readonly delivery: Delivery;
  readonly autocommit: Autocommit;
  readonly now: Clock;
  /** Called when an attempt fails. Its argument contains neither secrets nor the recipient. */
  readonly onFault: (fault: { mail: string; kind: string; attempt: number; fault: string; isDead: boolean }) => void;
}

const batch = 20;
/** Seconds after which another dispatcher may claim the mail. Longer than an attempt may take. */
const lease = 120;
/** Milliseconds that an attempt may take. */
const patience = 60_000;
/** Milliseconds between two measurements of the queue. */
const measureInterval = 1000;

/**
 * Sends the mails of the outbox, at least once. If a process dies after the server accepted a mail and before that is
 * stored, the mail is sent again, with the same Message-ID and the same link. Any number of dispatchers may run: a mail is
 * leased to one of them, and mails to one address are sent one after the other, the oldest first.
 */
export class Dispatcher {
  readonly #deps: Deps;
  readonly #outcomes: Record<MailOutcome, number> = { sent: 0, retried: 0, dead: 0, cancelled: 0 };
  #queue = { length: 0, oldest: 0 };
  #measuredAt = 0;
  #isStopping = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** The attempts of this process by outcome. */
  get outcomes(): Readonly<Record<MailOutcome, number>> {
    return this.#outcomes;
  }

  /** At most a second old, or measured before the running batch. */
  get queue(): { readonly length: number; readonly oldest: number } {
    return this.#queue;
  }

  /** Sends all mails that are due. */
  async run(): Promise<void> {
    const { outbox, autocommit, now } = this.#deps;
    for (;;) {
      await this.#measureIfDue();
      const claimed = this.#isStopping ? [] : await outbox.claim(autocommit, now(), later(now(), lease), batch);
      if (claimed.length === 0) break;
      await Promise.all(claimed.map((each) => this.#attempt(each)));
    }
    this.#queue = await outbox.measure(autocommit, now());
  }

  /** Also between batches: with a long queue or a silent mail server a run takes hours. */
  async #measureIfDue(): Promise<void> {
    const { outbox, autocommit, now } = this.#deps;
    const at = now();
    if (Math.abs(at.getTime() - this.#measuredAt) < measureInterval) return;
    this.#measuredAt = at.getTime();
    this.#outcomes.cancelled += await outbox.cancelExpired(autocommit, at);
    this.#queue = await outbox.measure(autocommit, at);
  }

  /** Starts no further batch. Mails still leased are sent by other dispatchers later. */
  stop(): void {
    this.#isStopping = true;
  }

  async #attempt(mail: Claimed): Promise<void> {
    const { outbox, templates, delivery, autocommit, now } = this.#deps;
    try {
      const rendered = templates.render(mail.kind, mail.locale, outbox.unseal(mail));
      const { id, recipient, created_at: createdAt } = mail;
      await delivery.send({ id, recipient, createdAt, ...rendered }, AbortSignal.timeout(patience));
    } catch (thrown) {
      return this.#fail(mail, thrown);
    }
    await outbox.markSent(autocommit, mail, now());
    this.#outcomes.sent++;
  }

  async #fail(mail: Claimed, thrown: unknown): Promise<void> {
    const { outbox, autocommit, now, onFault } = this.#deps;
    const fault = (thrown instanceof DeliveryFault ? thrown.code : (thrown as Error).name).slice(0, 32);
    const isDead = mail.attempts >= mostAttempts || (thrown instanceof DeliveryFault && thrown.isFinal);
    onFault({ mail: mail.id, kind: mail.kind, attempt: mail.attempts, fault, isDead });
    if (isDead) await outbox.giveUp(autocommit, mail, now(), fault);
    else await outbox.retryAt(autocommit, mail, later(now(), pauseAfter(mail.attempts)), fault);
    this.#outcomes[isDead ? 'dead' : 'retried']++;
  }
}

function later(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000);
}
