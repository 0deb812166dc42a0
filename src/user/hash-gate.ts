import { Refusal } from '../errors.ts';

/**
 * Lets a few hashes run at a time and a bounded number wait, and refuses the rest at once.
 *
 * More hashes in flight than cores make all of them slower, and a queue without a bound goes on hashing for callers that
 * have left. So a caller that is gone when its turn comes is skipped.
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

  /** How much of it is taken. */
  get load() {
    return { running: this.#running, waiting: this.#waiting.length, limit: this.#queueLimit };
  }

  /** Throws OVER_CAPACITY when whoever came now would be refused: for those who would look something up before. */
  requireRoom(): void {
    if (this.#running >= this.#slots && this.#waiting.length >= this.#queueLimit)
      throw new Refusal('OVER_CAPACITY', { retryAfter: 1 });
  }

  /** Throws OVER_CAPACITY with a time to come back when the queue is full, and the signal's reason when it is aborted. */
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

  /** Resolves once a slot was handed over; it counts as running from then on. */
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
