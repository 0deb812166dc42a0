import type { ShownState } from './kinds.ts';

/** One stream that waits for the states of an attempt. */
export class LoginWaiter {
  readonly expiresAt: Date;
  #state: ShownState;
  #isNew = true;
  #failure: unknown;
  #wake: (() => void) | undefined;
  /** Milliseconds of the process's clock at which the state was last returned. */
  #returnedAt = 0;

  constructor(state: ShownState, expiresAt: Date) {
    this.#state = state;
    this.expiresAt = expiresAt;
  }

  show(state: ShownState): void {
    if (state === this.#state || isLast(this.#state)) return;
    this.#state = state;
    this.#announce();
  }

  /** Returns the state again if it was returned longer ago than this many milliseconds. */
  remind(every: number): void {
    if (performance.now() - this.#returnedAt >= every) this.#announce();
  }

  fail(reason: unknown): void {
    this.#failure ??= reason;
    this.#wake?.();
  }

  /** The state, as soon as it is another one than last time. Throws the reason of `fail`. */
  async next(): Promise<ShownState> {
    while (!this.#isNew && this.#failure === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure !== undefined) throw this.#failure;
    this.#isNew = false;
    this.#returnedAt = performance.now();
    return this.#state;
  }

  #announce(): void {
    this.#isNew = true;
    this.#wake?.();
  }
}

/** Whether a stream ends with this state. */
export function isLast(state: ShownState): boolean {
  return state !== 'pending' && state !== 'claimed';
}
