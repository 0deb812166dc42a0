import { Refusal } from '../errors.ts';

/**
 * Runs a few hashes at a time, lets a bounded number of calls wait, and refuses the rest at once.
 *
 * More hashes than cores would slow all of them down. An unbounded queue would hash for calls that were cancelled long
 * ago, so a call that is cancelled while it waits leaves the queue.
 */
export class HashGate {
  readonly #slots: number;
  readonly #queueLimit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(slots: number, queueLimit: number) {
    this.#slots = slots;
    this.#queueLimit = queueLimit;
  }

  /** How many hashes run and wait, and how many may wait. */
  get load() {
    return { running: this.#running, waiting: this.#waiting.length, limit: this.#queueLimit };
  }

  /** Throws OVER_CAPACITY when `pass` would. For callers that would otherwise look something up first. */
  requireRoom(): void {
    if (this.#running >= this.#slots && this.#waiting.length >= this.#queueLimit)
      throw new Refusal('OVER_CAPACITY', { retryAfter: 1 });
  }

  /** Runs the work in a slot. Throws OVER_CAPACITY when the queue is full, and the signal's reason when it is aborted. */
  async pass<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#running >= this.#slots) await this.#queue(signal);
    else this.#running++;
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.#handOn();
    }
  }

  /** Resolves when a slot was handed over to this call. `#running` already counts it. */
  #queue(signal: AbortSignal): Promise<void> {
    this.requireRoom();
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }

  #handOn(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running--;
  }
}
