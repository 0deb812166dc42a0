import { AsyncLocalStorage } from 'node:async_hooks';
import { faultOf } from './sqlstate.ts';

/** Answers for several items at once. An item that is not among the answers goes alone after all. */
type Together<Item, Answer> = (items: readonly Item[]) => Promise<ReadonlyMap<Item, Answer>>;

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answers: ReadonlyMap<Item, Answer>) => void;
  readonly reject: (error: unknown) => void;
}

const itemsAtMost = 64;
/**
 * Lets what comes at once go together. Who comes while nothing is under way goes alone, immediately. Who comes later leaves
 * in a batch: at the end of this turn of the event loop or, while another batch is away, when that is back. So nobody waits
 * for company, and the more come, the less each one costs: a statement, a commit and the system calls around them are
 * shared. A batch belongs to no call, and stands in no call's trace.
 */
export class Coalescer<Item, Answer> {
  readonly #together: Together<Item, Answer>;
  readonly #patience: number;
  readonly #outside = AsyncLocalStorage.snapshot();
  readonly #waiting: Waiting<Item, Answer>[] = [];
  #alone = 0;
  #isAway = false;

  /** After `patience` milliseconds the next batch waits no longer for the one before: its connection may be dead. */
  constructor(together: Together<Item, Answer>, patience = 100) {
    this.#together = together;
    this.#patience = patience;
  }

  /** The item's answer: from a batch, or from `alone`. Whatever a batch throws, each of its items throws. */
  async take(item: Item, alone: () => Promise<Answer>): Promise<Answer> {
    if (this.#alone > 0 || this.#isAway) {
      const answers = await this.#join(item);
      if (answers.has(item)) return answers.get(item)!;
    }
    this.#alone++;
    try {
      return await alone();
    } finally {
      this.#alone--;
    }
  }

  #join(item: Item): Promise<ReadonlyMap<Item, Answer>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#outside(() => this.#leave()));
    });
  }

  #leave(): void {
    if (this.#isAway || this.#waiting.length === 0) return;
    this.#isAway = true;
    let isAwaited = true;
    const next = (): void => {
      if (!isAwaited) return;
      isAwaited = this.#isAway = false;
      this.#leave();
    };
    const timer = setTimeout(next, this.#patience);
    void this.#answer(this.#waiting.splice(0, itemsAtMost)).then(() => {
      clearTimeout(timer);
      next();
    });
  }

  async #answer(leaving: readonly Waiting<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#together(leaving.map(({ item }) => item));
      for (const { resolve } of leaving) resolve(answers);
    } catch (error) {
      for (const { reject } of leaving) reject(error);
    }
  }
}

/**
 * The rows of a shared statement; none when it lost to a concurrent transaction again and again. What was rolled back has
 * done nothing, so each of its items may still go alone, and those that conflict with nobody succeed.
 */
export async function unlessInConflict<Rows>(send: () => Promise<Rows>): Promise<Rows | undefined> {
  try {
    return await send();
  } catch (error) {
    if (faultOf(error) === 'conflict') return undefined;
    throw error;
  }
}
