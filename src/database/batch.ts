/** Answers for several items at once. An item that is not among the answers goes alone after all. */
type Together<Item, Answer> = (items: readonly Item[]) => Promise<ReadonlyMap<Item, Answer>>;

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answers: ReadonlyMap<Item, Answer>) => void;
  readonly reject: (error: unknown) => void;
}

const itemsAtMost = 64;
/** Milliseconds after which the next batch waits no longer for the one before: its connection may be dead. */
const patience = 100;

/**
 * Lets what would have to wait for others go together. Who comes while nothing is under way goes alone, at once; who comes
 * later leaves with all that came meanwhile, as soon as the last batch is back. So nobody waits for company, and the busier
 * it is, the less each one costs: a statement, a commit and the system calls around them are shared.
 */
export class Batch<Item, Answer> {
  readonly #together: Together<Item, Answer>;
  readonly #waiting: Waiting<Item, Answer>[] = [];
  #alone = 0;
  #isAway = false;

  constructor(together: Together<Item, Answer>) {
    this.#together = together;
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
      // What else comes in this turn of the event loop is taken along.
      if (this.#waiting.length === 1) setImmediate(() => this.#leave());
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
    const timer = setTimeout(next, patience);
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
