import { setTimeout as sleep } from 'node:timers/promises';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { type Claimed, claimBeyond, claimDue } from './claim.ts';
import { type Delivery, DeliveryFault } from './delivery.ts';
import type { Outbox } from './outbox.ts';
import { mostAttempts, mostDoubts, pauseAfter } from './retry-schedule.ts';
import { extend, type Settlement, settle } from './settle.ts';
import type { Templates } from './templates.ts';
import { Window } from './window.ts';

/** The outcome of an attempt to send a mail. */
export type MailOutcome = 'sent' | 'retried' | 'dead' | 'cancelled';

interface Deps {
  readonly outbox: Outbox;
  readonly templates: Templates;
  readonly delivery: Delivery;
  readonly autocommit: Autocommit;
  readonly now: Clock;
  /** Called when an attempt fails. */
  readonly onFault: (fault: MailFault) => void;
  /** Whether this process measures the queue for all. Always when not given. */
  readonly isMeasuring?: () => boolean;
}

/** A failed attempt, without secrets and without the recipient. */
interface MailFault {
  readonly mail: string;
  readonly kind: string;
  readonly attempt: number;
  readonly fault: string;
  /** The code of the error behind the fault. */
  readonly cause: string | undefined;
  readonly isDead: boolean;
}

/**
 * Seconds after which another dispatcher may claim a mail, and between two extensions. A lease is extended while its mail
 * is in the window: so it outlasts every attempt, and the mails of a process that died are sent soon.
 */
const usualLeases = { seconds: 120, extendedEvery: 30 };
/** Milliseconds between two measurements of the queue. */
const measureInterval = 1000;
/** Milliseconds that a stopping dispatcher waits for the mails under way, and then for their results to be stored. */
const lastAttempts = 1000;
const lastResults = 500;
/**
 * Milliseconds in which results are gathered, to be stored by one statement. A process that dies within them has sent mails
 * that another one sends again, so they are few.
 */
const gathering = 25;
/** Statements of one search for other domains. */
const stepsAtMost = 10;
/** How often a result is stored at most, a second apart: without it a mail that was sent would be sent again. */
const settleAtMost = 120;

/**
 * Sends the mails of the outbox, at least once. If a process dies after the server accepted a mail and before that is
 * stored, the mail is sent again, with the same Message-ID and the same link. Any number of dispatchers may run: a mail is
 * leased to one of them, and mails to one address are sent one after the other, the oldest first.
 */
export class Dispatcher {
  readonly #deps: Deps;
  readonly #leases: typeof usualLeases;
  readonly #window: Window;
  #unsettled: Settlement[] = [];
  #settling: Promise<number> | undefined;
  readonly #outcomes: Record<MailOutcome, number> = { sent: 0, retried: 0, dead: 0, cancelled: 0 };
  #queue = { length: 0, oldest: 0 };
  #measuredAt = -Infinity;
  #extendedAt = -Infinity;
  #filling: Promise<void> | undefined;
  /** Whether the last claim left due mails for lack of room. */
  #isBehind = false;
  /** The domain that the last claim beyond the first mails ended at. */
  #reached = '';
  /** The domains without room, if such a claim has found since the last run that no others have due mails. */
  #full: readonly string[] | undefined;
  #failure: unknown;
  #isStopping = false;

  constructor(deps: Deps, leases = usualLeases) {
    this.#deps = deps;
    this.#leases = leases;
    this.#window = new Window({
      send: (mail) => this.#attempt(mail),
      giveBack: (mails) => {
        for (const mail of mails) void this.#settle(this.#untried(mail));
      },
      onRoom: () => {
        if (this.#isBehind) this.#refill();
      },
    });
  }

  /** The attempts of this process by outcome. */
  get outcomes(): Readonly<Record<MailOutcome, number>> {
    return this.#outcomes;
  }

  /**
   * About a second old. Of a longer queue the ten thousand mails that are due first are counted. Undefined where another
   * process measures it.
   */
  get queue(): { readonly length: number; readonly oldest: number } | undefined {
    return this.#isMeasuring ? this.#queue : undefined;
  }

  /** Whether a run has to look after mails under way, or to report a failure. */
  get isBusy(): boolean {
    return this.#isBehind || this.#failure !== undefined || this.#window.mails.length > 0;
  }

  get #isMeasuring(): boolean {
    return this.#deps.isMeasuring?.() ?? true;
  }

  /** Starts to send the mails that are due. Resolves when all of them have begun, or the window is full. */
  async run(): Promise<void> {
    const failure = this.#failure;
    this.#failure = undefined;
    // Race: the claim of a fill that is under way may have missed the mail that this run is for.
    await this.#filling;
    this.#full = undefined;
    await this.#fill();
    await this.#keepUp();
    if (failure) throw failure;
  }

  /** Starts no further mail, and resolves when those under way have ended. Mails that remain are sent by others later. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#window.drain(lastAttempts);
    this.#deps.delivery.close();
    await this.#window.drain(lastResults);
  }

  #fill(): Promise<void> {
    this.#filling ??= this.#claim().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  #refill(): void {
    if (!this.#isStopping) this.#fill().catch((error: unknown) => this.#report(error));
  }

  /** The next run throws the error, so that it is logged and counted. */
  #report(error: unknown): void {
    this.#failure ??= error;
  }

  async #claim(): Promise<void> {
    const { autocommit } = this.#deps;
    for (;;) {
      const claiming = this.#claiming();
      this.#isBehind = claiming.limit <= 0;
      if (this.#isStopping || this.#isBehind) return;
      const { claimed, cancelled, heldBack, isPartial, examined } = await claimDue(autocommit, claiming);
      this.#isBehind = isPartial || heldBack > 0;
      this.#outcomes.cancelled += cancelled;
      this.#window.add(claimed);
      if (!isPartial) return;
      if (heldBack === examined) return this.#claimBeyond();
      // Otherwise each claim of a long queue to one domain would be followed by two that lock its mails and find no room.
      if (this.#full && this.#window.isFull(this.#full)) return;
      await this.#keepUp();
    }
  }

  /** Finds mails to other domains when those that are due first have to wait for theirs. */
  async #claimBeyond(): Promise<void> {
    const { autocommit } = this.#deps;
    for (let step = 0; step < stepsAtMost; step++) {
      const after = this.#reached;
      const claiming = this.#claiming();
      const { claimed, cancelled, reached } = await claimBeyond(autocommit, claiming, after);
      this.#reached = reached;
      this.#outcomes.cancelled += cancelled;
      this.#window.add(claimed);
      if (claimed.length > 0) return;
      if (after !== '' || reached !== '') continue;
      this.#full = claiming.domains.filter((_, place) => claiming.rooms[place] === 0);
      return;
    }
  }

  #claiming() {
    const now = this.#deps.now();
    return { ...this.#window.room, now, leasedUntil: later(now, this.#leases.seconds) };
  }

  /** Also between claims: with a long queue they go on for hours. */
  async #keepUp(): Promise<void> {
    const { outbox, autocommit, now } = this.#deps;
    const { mails } = this.#window;
    if (performance.now() - this.#extendedAt > this.#leases.extendedEvery * 1000) {
      this.#extendedAt = performance.now();
      if (mails.length > 0) await extend(autocommit, mails, later(now(), this.#leases.seconds));
    }
    if (this.#isMeasuring && performance.now() - this.#measuredAt > measureInterval) {
      this.#measuredAt = performance.now();
      this.#queue = await outbox.measure(autocommit, now());
    }
  }

  /** Resolves when the attempt has ended. Its result is stored after that. */
  async #attempt(mail: Claimed): Promise<void> {
    const { outbox, templates, delivery } = this.#deps;
    try {
      const rendered = templates.render(mail.kind, mail.locale, outbox.unseal(mail));
      const { id, recipient, created_at: createdAt } = mail;
      await delivery.send({ id, recipient, createdAt, ...rendered });
      void this.#settle({ ...settled(mail), state: 'sent' }, 'sent');
    } catch (thrown) {
      this.#fail(mail, thrown);
    }
  }

  #fail(mail: Claimed, thrown: unknown): void {
    const { code, verdict } =
      thrown instanceof DeliveryFault ? thrown : { code: (thrown as Error).name, verdict: 'not sent' };
    const isInDoubt = verdict === 'maybe sent';
    // The attempt was ended by `stop`.
    if (this.#isStopping && verdict === 'not sent') return void this.#settle(this.#untried(mail));
    const fault = code.slice(0, 32);
    const cause = causeOf(thrown);
    const isDead = verdict === 'final' || mail.attempts >= mostAttempts || (isInDoubt && mail.doubts + 1 >= mostDoubts);
    this.#deps.onFault({ mail: mail.id, kind: mail.kind, attempt: mail.attempts, fault, cause, isDead });
    const common = { ...settled(mail), fault, isInDoubt };
    if (isDead) return void this.#settle({ ...common, state: 'dead' }, 'dead');
    const dueAt = later(this.#deps.now(), pauseAfter(mail.attempts));
    void this.#settle({ ...common, state: 'queued', dueAt }, 'retried');
  }

  #untried(mail: Claimed): Settlement {
    return { ...settled(mail), state: 'queued', dueAt: this.#deps.now(), isGivenBack: true };
  }

  async #settle(settlement: Settlement, outcome?: MailOutcome): Promise<void> {
    try {
      const woken = await this.#store(settlement);
      if (outcome) this.#outcomes[outcome]++;
      if (woken > 0 && !this.#isBehind) this.#refill();
    } catch (error) {
      this.#report(error);
    } finally {
      this.#window.remove(settlement.mail);
    }
  }

  async #store(settlement: Settlement): Promise<number> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#storeWithOthers(settlement);
      } catch (error) {
        if (this.#isStopping || tries === settleAtMost) throw error;
        this.#report(error);
      }
      await sleep(1000, undefined, { ref: false });
    }
  }

  #storeWithOthers(settlement: Settlement): Promise<number> {
    this.#unsettled.push(settlement);
    this.#settling ??= sleep(gathering).then(() => {
      const settlements = this.#unsettled;
      this.#unsettled = [];
      this.#settling = undefined;
      return settle(this.#deps.autocommit, settlements, this.#deps.now());
    });
    return this.#settling;
  }
}

function settled(mail: Claimed) {
  return { mail, dueAt: null, fault: null, isInDoubt: false, isGivenBack: false };
}

function later(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000);
}

function causeOf(thrown: unknown): string | undefined {
  const { cause } = thrown as { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' ? cause.code : undefined;
}
