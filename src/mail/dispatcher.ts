import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { type Delivery, DeliveryFault } from './delivery.ts';
import type { Claimed, Outbox } from './outbox.ts';
import type { Templates } from './templates.ts';

/** What a try came to. */
export type MailOutcome = 'sent' | 'retried' | 'dead' | 'cancelled';

interface Deps {
  readonly outbox: Outbox;
  readonly templates: Templates;
  readonly delivery: Delivery;
  readonly autocommit: Autocommit;
  readonly now: Clock;
  /** Hears of mails that were not taken. Nothing it is told is secret, or says whom a mail was for. */
  readonly onFault: (fault: { mail: string; kind: string; attempt: number; fault: string; isDead: boolean }) => void;
}

const batch = 20;
/** Seconds after which a mail is anybody's again. Longer than a try may take. */
const lease = 120;
/** Milliseconds that a try may take. */
const patience = 60_000;
/** Tries of one mail: with the waits between them, about nine hours. */
const mostAttempts = 16;
/** Milliseconds between two looks at the whole queue. */
const betweenLooks = 1000;
const firstPause = 30;
const longestPause = 3600;

/**
 * Sends what is in the outbox, at least once: a process that dies after the server took a mail and before that was
 * written down has it sent again, with the same Message-ID and the same link. Any number of dispatchers may run; a mail
 * is leased to one of them, and mails to one address leave one after the other, the oldest first.
 */
export class Dispatcher {
  readonly #deps: Deps;
  readonly #outcomes: Record<MailOutcome, number> = { sent: 0, retried: 0, dead: 0, cancelled: 0 };
  #queue = { length: 0, oldest: 0 };
  #lookedAt = 0;
  #isStopping = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** How many tries of this process came to what. */
  get outcomes(): Readonly<Record<MailOutcome, number>> {
    return this.#outcomes;
  }

  /** As of a second ago, or of the batch under way where that takes longer. */
  get queue(): { readonly length: number; readonly oldest: number } {
    return this.#queue;
  }

  /** Sends all that is due. */
  async run(): Promise<void> {
    const { outbox, autocommit, now } = this.#deps;
    for (;;) {
      await this.#look();
      const claimed = this.#isStopping ? [] : await outbox.claim(autocommit, now(), later(now(), lease), batch);
      if (claimed.length === 0) break;
      await Promise.all(claimed.map((each) => this.#attempt(each)));
    }
    this.#queue = await outbox.measure(autocommit, now());
  }

  /** Between batches, too: a run that meets a long queue, or a server that keeps silent, takes hours. */
  async #look(): Promise<void> {
    const { outbox, autocommit, now } = this.#deps;
    const at = now();
    if (Math.abs(at.getTime() - this.#lookedAt) < betweenLooks) return;
    this.#lookedAt = at.getTime();
    this.#outcomes.cancelled += await outbox.cancelExpired(autocommit, at);
    this.#queue = await outbox.measure(autocommit, at);
  }

  /** Begins no further batch. What is leased is sent by others. */
  stop(): void {
    this.#isStopping = true;
  }

  async #attempt(mail: Claimed): Promise<void> {
    const { outbox, templates, delivery, autocommit, now } = this.#deps;
    try {
      const worded = templates.word(mail.kind, mail.locale, outbox.unseal(mail));
      const { id, recipient, created_at: createdAt } = mail;
      await delivery.send({ id, recipient, createdAt, ...worded }, AbortSignal.timeout(patience));
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
    if (isDead) await outbox.bury(autocommit, mail, now(), fault);
    else await outbox.retryAt(autocommit, mail, later(now(), pauseAfter(mail.attempts)), fault);
    this.#outcomes[isDead ? 'dead' : 'retried']++;
  }
}

/** Doubles up to an hour; half of it is left to chance, so that what failed together does not come back together. */
function pauseAfter(attempts: number): number {
  return Math.min(longestPause, firstPause * 2 ** (attempts - 1)) * (0.5 + Math.random() / 2);
}

function later(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000);
}
