import type { MikroORM } from '@mikro-orm/postgresql';
import { isUnsealed, type Unseen } from '../audit/queue.ts';
import { Autocommit } from '../database/autocommit.ts';
import { compile } from '../database/statement.ts';
import { hasDueMail, hasQueuedMail } from '../mail/claim.ts';
import { isBeatDue } from '../project/heartbeat.ts';
import { projectsRevision } from '../project/projects.ts';
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
  /** The number of changes of projects. */
  readonly projectsRevision: number;
  readonly leases: readonly LeaseState[];
}

type Essentials = Omit<Polled, 'isMailDue' | 'isMailQueued' | 'isUnsealed'>;

interface Result {
  readonly polled: Polled;
  /** By the monotonic clock. */
  readonly readAt: number;
}

const essentials = `current_setting('transaction_read_only') = 'on' as "isReadOnly", ${isBeatDue} as "isBeatDue",
     ${signingKeyStates} as "signingKeys", ${projectsRevision} as "projectsRevision", ${leaseStates} as leases`;

const ofEverything = compile(
  `select ${essentials}, ${hasDueMail} as "isMailDue", ${hasQueuedMail} as "isMailQueued", ${isUnsealed} as "isUnsealed"`,
);
const ofEssentials = compile(`select ${essentials}`);

/** Milliseconds after which a poll has failed. */
const patience = 1000;

/**
 * One statement a second that reads for all jobs of a process whether they have work. So an idle process costs the database
 * little, however many jobs there are.
 */
export class Poll {
  readonly #orm: MikroORM;
  #result: Result | undefined;
  #failure: unknown = new Error('the database was not polled yet');
  #next = Promise.withResolvers<void>();

  constructor(orm: MikroORM) {
    this.#orm = orm;
  }

  /** Reads again. `unseen` is of the queue of unsealed events: undefined for a process that does not have to look at it. */
  async read(now: Date, unseen: Unseen | undefined): Promise<Polled> {
    try {
      this.#result = await this.#askAll(now, unseen);
      return this.#result.polled;
    } catch (error) {
      this.#result = undefined;
      this.#failure = error;
      throw error;
    }
  }

  /**
   * While a transaction holds an old snapshot, PostgreSQL keeps the deleted rows of the queues, and a look at a queue may take
   * long. Readiness and leases do not wait for it: the jobs of the queues then look for themselves.
   */
  async #askAll(now: Date, unseen: Unseen | undefined): Promise<Result> {
    const { next = null, running = [] } = unseen ?? {};
    try {
      return await this.#ask<Polled>(ofEverything, { now, next, running });
    } catch {
      const { polled, readAt } = await this.#ask<Essentials>(ofEssentials, { now });
      return { polled: { ...polled, isMailDue: true, isMailQueued: true, isUnsealed: true }, readAt };
    }
  }

  /** The result of the last poll, and its time by the monotonic clock. Throws if it failed. */
  get last(): Result {
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

  async #ask<Row>({ text, valuesOf }: ReturnType<typeof compile>, values: Readonly<Record<string, unknown>>) {
    const readAt = performance.now();
    const signal = AbortSignal.timeout(patience);
    // Without a name it is planned each time: a plan for an empty queue would read all of a long one.
    const rows = new Autocommit(this.#orm, signal).send<Row & Record<string, unknown>>('', text, () =>
      valuesOf(values),
    );
    // On a connection that no longer responds, cancelling the statement takes longer.
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const [row] = await Promise.race([late, rows]);
    return { polled: row! as Row, readAt };
  }
}
