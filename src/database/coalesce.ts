import { AsyncLocalStorage } from 'node:async_hooks';
import { faultOf } from './sqlstate.ts';

/** Runs several items in one statement. An item that is not among its results runs alone after all. */
type Together<Item, Result> = (items: readonly Item[]) => Promise<ReadonlyMap<Item, Result>>;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (results: ReadonlyMap<Item, Result>) => void;
  readonly reject: (error: unknown) => void;
}

const itemsAtMost = 64;

/**
 * Coalesces concurrent items into one statement. An item that finds nothing in flight runs alone, without delay. Items that
 * arrive meanwhile form a batch: it is sent at the end of this turn of the event loop or, while another batch is in flight,
 * when that one returns. Under load the items of a batch share one statement, one commit and the system calls around them.
 * A batch belongs to no call, so its statement appears in no call's trace.
 */
export class Coalescer<Item, Result> {
  readonly #together: Together<Item, Result>;
  readonly #patience: number;
  readonly #outside = AsyncLocalStorage.snapshot();
  readonly #waiting: Waiting<Item, Result>[] = [];
  #alone = 0;
  #isSending = false;

  /** A batch waits at most `patience` milliseconds for the batch before it, whose connection may be dead. */
  constructor(together: Together<Item, Result>, patience = 100) {
    this.#together = together;
    this.#patience = patience;
  }

  /** The item's result: from a batch, or from `alone`. An error of a batch is thrown for each of its items. */
  async take(item: Item, alone: () => Promise<Result>): Promise<Result> {
    if (this.#alone > 0 || this.#isSending) {
      const results = await this.#join(item);
      if (results.has(item)) return results.get(item)!;
    }
    this.#alone++;
    try {
      return await alone();
    } finally {
      this.#alone--;
    }
  }

  #join(item: Item): Promise<ReadonlyMap<Item, Result>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => void this.#outside(() => this.#sendAll()));
    });
  }

  async #sendAll(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#waiting.length > 0) await this.#patiently(this.#send(this.#waiting.splice(0, itemsAtMost)));
    this.#isSending = false;
  }

  async #patiently(sent: Promise<void>): Promise<void> {
    const { promise: isOverdue, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#patience);
    await Promise.race([sent, isOverdue]);
    clearTimeout(timer);
  }

  async #send(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#together(batch.map(({ item }) => item));
      for (const { resolve } of batch) resolve(results);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

/**
 * The rows of a shared statement. Undefined when it lost every retry against concurrent transactions: it was rolled back,
 * so each of its items may still run alone.
 */
export async function unlessInConflict<Rows>(send: () => Promise<Rows>): Promise<Rows | undefined> {
  try {
    return await send();
  } catch (error) {
    if (faultOf(error) === 'conflict') return undefined;
    throw error;
  }
}
