import { Slots } from '../slots.ts';

/**
 * The calls of a server that have not ended, which its shutdown aborts.
 *
 * A listener on the shutdown signal for each call would be simpler. But Node's removed listener still refers to the next
 * one: once one of them is in the old generation, every later call, with all of its objects, is promoted there as well.
 */
export class OpenCalls {
  readonly #shutdown: AbortSignal;
  readonly #open = new Slots<AbortController>();

  constructor(shutdown: AbortSignal) {
    this.#shutdown = shutdown;
    shutdown.addEventListener('abort', () => this.#open.forEach(this.#abort), { once: true });
  }

  /** Returns the slot of the call, which `remove` empties. */
  add(call: AbortController): number {
    if (this.#shutdown.aborted) this.#abort(call);
    return this.#open.add(call);
  }

  remove(slot: number): void {
    this.#open.remove(slot);
  }

  readonly #abort = (call: AbortController): void => call.abort(this.#shutdown.reason);
}
