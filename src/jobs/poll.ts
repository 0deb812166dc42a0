import type { MikroORM } from '@mikro-orm/postgresql';
import { isUnsealed, type Unseen } from '../audit/queue.ts';
import { Autocommit } from '../database/autocommit.ts';
import { compile } from '../database/statement.ts';
import { hasDueMail, hasQueuedMail } from '../mail/claim.ts';
import { isBeatDue } from '../project/heartbeat.ts';
import { signingKeyStates } from '../session/signing-key.ts';
import { type LeaseState, leaseStates } from './leases.ts';

/** What the jobs of a process need to know about the database. */
export interface Polled {
  readonly isReadOnly: boolean;
  readonly isBeatDue: boolean;
  readonly isMailDue: boolean;
  readonly isMailQueued: boolean;
  readonly isUnsealed: boolean;
  /** The ids and states of the signing keys. Equal as long as no key changes. */
  readonly signingKeys: string;
  readonly leases: readonly LeaseState[];
}

const { text, valuesOf } = compile(
  `select current_setting('transaction_read_only') = 'on' as "isReadOnly", ${isBeatDue} as "isBeatDue",
     ${hasDueMail} as "isMailDue", ${hasQueuedMail} as "isMailQueued", ${isUnsealed} as "isUnsealed",
     ${signingKeyStates} as "signingKeys", ${leaseStates} as leases`,
);

/** Milliseconds after which a poll has failed. */
const patience = 1000;

/**
 * One statement a second that reads for all jobs of a process whether they have work. So an idle process costs the database
 * little, however many jobs there are.
 */
export class Poll {
  readonly #orm: MikroORM;
  #result: { readonly polled: Polled; readonly readAt: number } | undefined;
  #failure: unknown = new Error('the database was not polled yet');
  #next = Promise.withResolvers<void>();

  constructor(orm: MikroORM) {
    this.#orm = orm;
  }

  /** Reads again. `unseen` is of the queue of unsealed events. */
  async read(now: Date, unseen: Unseen): Promise<Polled> {
    const readAt = performance.now();
    try {
      const polled = await this.#ask({ now, next: unseen.next, running: unseen.running });
      this.#result = { polled, readAt };
      return polled;
    } catch (error) {
      this.#result = undefined;
      this.#failure = error;
      throw error;
    }
  }

  /** The result of the last poll, and its time by the monotonic clock. Throws if it failed. */
  get last(): { readonly polled: Polled; readonly readAt: number } {
    if (!this.#result) throw this.#failure;
    return this.#result;
  }

  /** Wakes the jobs that wait for `announced`. */
  announce(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  announced(): Promise<void> {
    return this.#next.promise;
  }

  async #ask(values: Readonly<Record<'now' | 'next' | 'running', unknown>>): Promise<Polled> {
    const signal = AbortSignal.timeout(patience);
    // Without a name it is planned each time: a plan for an empty queue would read all of a long one.
    const rows = new Autocommit(this.#orm, signal).send<Polled & Record<string, unknown>>('', text, () =>
      valuesOf(values),
    );
    // On a connection that no longer responds, cancelling the statement takes longer.
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const [row] = await Promise.race([late, rows]);
    return row!;
  }
}
