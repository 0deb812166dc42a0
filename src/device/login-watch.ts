import { AsyncLocalStorage } from 'node:async_hooks';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { Attempt } from './attempt-table.ts';
import { type AttemptState, type ShownState, stateAt } from './kinds.ts';
import { isLast, LoginWaiter } from './login-waiter.ts';

// For all streams of a replica at once: its cost depends on how many attempts have changed, and not on how many wait.
const readChanges = statement<{ id: string; state: AttemptState }, { since: Date }>(
  'login_attempt_changes',
  'select a.id, a.state from login_attempts a where a.changed_at > :since',
);

/** Milliseconds between two looks at what has changed. */
const lookInterval = 50;
/** Between two looks while the database cannot be reached. */
const faultInterval = 1000;
/** How far a look goes back behind the last one: a change is committed later than its time, by a clock of another replica. */
const overlap = 5000;
/** How far one look in a hundred goes back, for a change that was committed still later. */
const wideOverlap = 60_000;
/** A state is repeated after this time without a message. Proxies close connections on which nothing is sent. */
const reminderInterval = 30_000;
/** Streams of one attempt. A client that has lost its connection opens another before the first is known to be lost. */
const mostPerAttempt = 8;

type WatchedAttempt = Pick<Attempt, 'id' | 'state' | 'expiresAt'>;

/**
 * Returns the states of attempts as they change, on whichever replica. While streams wait, one statement reads every 50 ms what
 * has changed since the last one. No stream holds a connection to the database.
 */
export class LoginWatch {
  readonly #autocommit: Autocommit;
  readonly #now: Clock;
  readonly #onFault: (thrown: unknown) => void;
  readonly #waiters = new Map<string, Set<LoginWaiter>>();
  // The looks belong to no call. Otherwise the end of the call that started them would cancel them.
  readonly #outside = AsyncLocalStorage.snapshot();
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = new Date(0);
  #looks = 0;
  #isClosed = false;

  constructor(autocommit: Autocommit, now: Clock, onFault: (thrown: unknown) => void) {
    this.#autocommit = autocommit;
    this.#now = now;
    this.#onFault = onFault;
  }

  /** The attempt's state, and each new one up to the last. Throws the reason of the signal's abort. */
  async *statesOf(attempt: WatchedAttempt, signal: AbortSignal): AsyncGenerator<ShownState> {
    const waiter = this.#join(attempt);
    const leave = (): void => waiter.fail(signal.reason);
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    try {
      for (;;) {
        const state = await waiter.next();
        yield state;
        if (isLast(state)) return;
      }
    } finally {
      signal.removeEventListener('abort', leave);
      this.#leave(attempt.id, waiter);
    }
  }

  /** How many streams are open. */
  get open(): number {
    return [...this.#each()].length;
  }

  /** Ends all streams: an open stream must not delay the shutdown of a replica. Their clients go on with another one. */
  close(): void {
    this.#isClosed = true;
    for (const waiter of this.#each()) waiter.fail(new Refusal('SHUTTING_DOWN'));
  }

  #join(attempt: WatchedAttempt): LoginWaiter {
    if (this.#isClosed) throw new Refusal('SHUTTING_DOWN');
    const waiters = this.#waiters.get(attempt.id) ?? new Set();
    if (waiters.size >= mostPerAttempt) throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: 5 });
    const waiter = new LoginWaiter(stateAt(attempt, this.#now()), attempt.expiresAt);
    this.#waiters.set(attempt.id, waiters.add(waiter));
    if (!this.#timer) {
      this.#lookedAt = this.#now();
      this.#lookIn(lookInterval);
    }
    return waiter;
  }

  #leave(id: string, waiter: LoginWaiter): void {
    const waiters = this.#waiters.get(id);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(id);
  }

  #lookIn(milliseconds: number): void {
    this.#timer = this.#outside(() => setTimeout(() => void this.#look(), milliseconds));
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    if (this.#waiters.size === 0) return;
    const startedAt = performance.now();
    const interval = (await this.#readChanges()) ? lookInterval : faultInterval;
    const now = this.#now();
    for (const waiter of this.#each()) {
      if (waiter.expiresAt <= now) waiter.show('expired');
      else waiter.remind(reminderInterval);
    }
    if (!this.#timer) this.#lookIn(Math.max(interval / 5, interval - (performance.now() - startedAt)));
  }

  /** False when the database could not be reached. The next look then begins where this one did. */
  async #readChanges(): Promise<boolean> {
    const at = this.#now();
    const back = this.#looks++ % 100 === 0 ? wideOverlap : overlap;
    try {
      const changes = await readChanges(this.#autocommit, { since: new Date(this.#lookedAt.getTime() - back) });
      this.#lookedAt = at;
      for (const { id, state } of changes) for (const waiter of this.#waiters.get(id) ?? []) waiter.show(state);
      return true;
    } catch (thrown) {
      this.#onFault(thrown);
      return false;
    }
  }

  *#each(): Generator<LoginWaiter> {
    for (const waiters of this.#waiters.values()) yield* waiters;
  }
}
