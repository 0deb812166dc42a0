import type { ContextValues, Interceptor } from '@connectrpc/connect';
import { kWork, type Work } from '../../src/rpc/context.ts';

/** The number of calls in a race: fewer with serializable transactions, where all but one are repeated. */
export const crowd = process.env.ISOLATION ? 5 : 20;

/** The responses of `crowd` parallel calls, or of `count`, and the errors of those that failed. */
export async function together<T>(call: (index: number) => Promise<T>, count = crowd) {
  const settled = await Promise.allSettled(Array.from({ length: count }, (_, index) => call(index)));
  return {
    answers: settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])),
    errors: settled.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : [])),
  };
}

/**
 * Holds calls of one method back until `count` of them have reached the same place, before their first write: all have
 * read, none has written. Opens after two seconds at the latest, so that a call that never gets there delays no other.
 */
export class Barrier {
  readonly #method: string;
  #opened = Promise.withResolvers<void>();
  #missing = Number.POSITIVE_INFINITY;

  constructor(method: string) {
    this.#method = method;
  }

  /** The next `count` calls wait for each other. May be called again for the next round. */
  expect(count: number): void {
    const opened = Promise.withResolvers<void>();
    this.#opened = opened;
    this.#missing = count;
    setTimeout(() => opened.resolve(), 2000).unref();
  }

  /** Waits before the transaction, or for methods that write without one before the method. */
  interceptor(place: 'change' | 'method' = 'change'): Interceptor {
    return (next) => async (req) => {
      if (req.method.name !== this.#method || this.#missing === Number.POSITIVE_INFINITY) return next(req);
      if (place === 'method') await this.#wait();
      else holdChanges(req.contextValues, () => this.#wait());
      return next(req);
    };
  }

  async #wait(): Promise<void> {
    const opened = this.#opened;
    if (--this.#missing <= 0) opened.resolve();
    await opened.promise;
  }
}

/** Stops one call of a method before its transaction or before its commit, while the test does something else. */
export class Pause {
  readonly #method: string;
  readonly #reached = Promise.withResolvers<void>();
  readonly #resumed = Promise.withResolvers<void>();
  readonly #place: 'change' | 'commit';
  #isArmed = false;

  constructor(method: string, place: 'change' | 'commit' = 'change') {
    this.#method = method;
    this.#place = place;
  }

  /** Stops the next call. Resolves when it has read and not yet written, or written and not yet committed. */
  next(): Promise<void> {
    this.#isArmed = true;
    return this.#reached.promise;
  }

  resume(): void {
    this.#resumed.resolve();
  }

  interceptor(): Interceptor {
    return (next) => async (req) => {
      if (req.method.name === this.#method && this.#isArmed) {
        this.#isArmed = false;
        const stop = () => {
          this.#reached.resolve();
          return this.#resumed.promise;
        };
        if (this.#place === 'change') holdChanges(req.contextValues, stop);
        else holdCommits(req.contextValues, stop);
      }
      return next(req);
    };
  }
}

/** Holds all calls of a method back before their first write until the test opens it. */
export class Gate {
  readonly #method: string;
  readonly #opened = Promise.withResolvers<void>();
  readonly #reached = Promise.withResolvers<void>();
  #missing: number;

  constructor(method: string, count = crowd) {
    this.#method = method;
    this.#missing = count;
  }

  /** Resolves when all the calls are authenticated and none has written. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  open(): void {
    this.#opened.resolve();
  }

  /** Stands before the transaction of methods that have one, and before the method of those that write without. */
  interceptor(place: 'change' | 'method' = 'change'): Interceptor {
    return (next) => async (req) => {
      if (req.method.name !== this.#method) return next(req);
      if (place === 'method') await this.#wait();
      else holdChanges(req.contextValues, () => this.#wait());
      return next(req);
    };
  }

  #wait(): Promise<void> {
    if (--this.#missing <= 0) this.#reached.resolve();
    return this.#opened.promise;
  }
}

function holdChanges(values: ContextValues, wait: () => Promise<void>): void {
  const work = values.get(kWork)!;
  values.set(kWork, {
    autocommit: work.autocommit,
    get reads() {
      return work.reads;
    },
    async change(closure, locks) {
      await wait();
      return work.change(closure, locks);
    },
    async changeAlone(send) {
      await wait();
      return work.changeAlone(send);
    },
  });
}

// A statement that commits by itself gets a transaction, in which it can wait.
function holdCommits(values: ContextValues, wait: () => Promise<void>): void {
  const work = values.get(kWork)!;
  const change: Work['change'] = (closure, locks) =>
    work.change(async (em) => {
      const result = await closure(em);
      await wait();
      return result;
    }, locks);
  values.set(kWork, {
    autocommit: work.autocommit,
    get reads() {
      return work.reads;
    },
    change,
    changeAlone: (send) => change(send),
  });
}
