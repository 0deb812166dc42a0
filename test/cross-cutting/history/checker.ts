import type { Model } from './model.ts';

/** A call as a client saw it. */
export interface Entry<Operation> {
  readonly operation: Operation;
  readonly calledAt: number;
  /** For an operation without a response, the time after which it no longer takes effect. */
  readonly returnedAt: number;
  /** Undefined when the client does not know whether the operation took effect. */
  readonly response: string | undefined;
}

export type Outcome = 'linearizable' | 'refuted' | 'undecided';

export interface Verdict {
  readonly outcome: Outcome;
  /** Of the longest sequence that was found: indexes of entries. */
  readonly order: readonly number[];
  readonly steps: number;
}

export interface Patience {
  readonly milliseconds: number;
  /** States to remember. */
  readonly states: number;
}

const usual: Patience = { milliseconds: 30_000, states: 4_000_000 };

/**
 * Whether a history is linearizable: whether its operations can be put in an order in which each takes effect at one moment
 * between its call and its response, and returns what the model returns. The search is that of Wing and Gong with the
 * memory of Lowe: a set of operations that led to the same state once is not tried again.
 *
 * An operation without a response takes effect at any moment until its `returnedAt`, or never.
 */
export function check<State extends object, Operation>(
  model: Model<State, Operation>,
  history: readonly Entry<Operation>[],
  patience: Patience = usual,
): Verdict {
  return new Search(model, history, patience).run();
}

/** The call or the return of an entry, in a list ordered by time. */
interface Moment {
  readonly index: number;
  readonly isCall: boolean;
  previous: Moment;
  next: Moment | undefined;
}

interface Choice<State> {
  readonly moment: Moment;
  readonly before: State;
  /** No other choice could do better here. */
  readonly isForced: boolean;
}

class Search<State extends object, Operation> {
  readonly #model: Model<State, Operation>;
  readonly #history: readonly Entry<Operation>[];
  readonly #patience: Patience;
  readonly #head: Moment;
  readonly #calls: Moment[] = [];
  readonly #returns: Moment[] = [];
  readonly #done: Uint32Array;
  readonly #seen = new Set<string>();
  readonly #stack: Choice<State>[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #keys = new WeakMap<State, number>();
  #state: State;
  #missing: number;
  #longest: number[] = [];
  #steps = 0;

  constructor(model: Model<State, Operation>, history: readonly Entry<Operation>[], patience: Patience) {
    this.#model = model;
    this.#history = history;
    this.#patience = patience;
    this.#state = model.initial;
    this.#done = new Uint32Array(Math.ceil(history.length / 32) || 1);
    this.#missing = history.filter(({ response }) => response !== undefined).length;
    this.#head = this.#link();
  }

  run(): Verdict {
    const until = performance.now() + this.#patience.milliseconds;
    let moment = this.#head.next;
    while (this.#missing > 0) {
      this.#steps++;
      if (this.#steps % 1024 === 0 && (performance.now() > until || this.#seen.size > this.#patience.states))
        return this.#verdict('undecided');
      if (moment && this.#take(moment)) moment = this.#head.next;
      else if (moment?.isCall) moment = moment.next;
      else if (this.#stack.length === 0) return this.#verdict('refuted');
      else moment = this.#takeBack();
    }
    this.#note();
    return this.#verdict('linearizable');
  }

  #verdict(outcome: Outcome): Verdict {
    return { outcome, order: this.#longest, steps: this.#steps };
  }

  /** Lets the operation take effect now or, at its return, never. */
  #take(moment: Moment): boolean {
    const { operation, response } = this.#history[moment.index]!;
    const isKnown = response !== undefined;
    if (!moment.isCall) return !isKnown && this.#move(moment, this.#state, false);
    const { response: modelled, next } = this.#model.step(this.#state, operation);
    if (isKnown ? modelled !== response : this.#keyOf(next) === this.#keyOf(this.#state)) return false;
    // A read whose response is right now is as good now as later.
    return this.#move(moment, next, isKnown && this.#model.isRead(operation, response));
  }

  #move(moment: Moment, next: State, isForced: boolean): boolean {
    const { index } = moment;
    this.#done[index >> 5]! |= 1 << (index & 31);
    if (!isForced && this.#isKnown(next)) {
      this.#done[index >> 5]! &= ~(1 << (index & 31));
      return false;
    }
    this.#stack.push({ moment, before: this.#state, isForced });
    this.#state = next;
    unlink(this.#calls[index]!);
    unlink(this.#returns[index]!);
    if (this.#history[index]!.response !== undefined) this.#missing--;
    return true;
  }

  /** Whether these operations have led to that state before. */
  #isKnown(state: State): boolean {
    const visited = `${this.#keyOf(state)} ${this.#done.join()}`;
    if (this.#seen.has(visited)) return true;
    this.#seen.add(visited);
    return false;
  }

  /** A number for each different state. */
  #keyOf(state: State): number {
    const known = this.#keys.get(state);
    if (known !== undefined) return known;
    const text = this.#model.keyOf(state);
    const key = this.#numbers.get(text) ?? this.#numbers.size;
    this.#numbers.set(text, key);
    this.#keys.set(state, key);
    return key;
  }

  /** Undoes the last choice that had an alternative, and returns where to go on. */
  #takeBack(): Moment | undefined {
    this.#note();
    for (;;) {
      const choice = this.#stack.pop();
      if (!choice) return undefined;
      const { moment, before, isForced } = choice;
      const { index } = moment;
      relink(this.#returns[index]!);
      relink(this.#calls[index]!);
      this.#state = before;
      this.#done[index >> 5]! &= ~(1 << (index & 31));
      if (this.#history[index]!.response !== undefined) this.#missing++;
      if (moment.isCall && !isForced) return moment.next;
    }
  }

  #note(): void {
    const taken = this.#stack.filter(({ moment }) => moment.isCall);
    if (taken.length > this.#longest.length) this.#longest = taken.map(({ moment }) => moment.index);
  }

  #link(): Moment {
    const head = { index: -1, isCall: true, next: undefined } as unknown as Moment;
    const moments = this.#history.flatMap(({ calledAt, returnedAt }, index) => [
      { at: calledAt, index, isCall: true },
      { at: returnedAt, index, isCall: false },
    ]);
    // Of a call and a return at the same time the call is first: they may have overlapped.
    moments.sort((a, b) => (a.at === b.at ? Number(b.isCall) - Number(a.isCall) : a.at < b.at ? -1 : 1));
    let last = head;
    for (const { index, isCall } of moments) {
      const moment: Moment = { index, isCall, previous: last, next: undefined };
      (isCall ? this.#calls : this.#returns)[index] = moment;
      last.next = moment;
      last = moment;
    }
    return head;
  }
}

function unlink({ previous, next }: Moment): void {
  previous.next = next;
  if (next) next.previous = previous;
}

function relink(moment: Moment): void {
  moment.previous.next = moment;
  if (moment.next) moment.next.previous = moment;
}
