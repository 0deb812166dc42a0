import type { ContextValues, Interceptor } from '@connectrpc/connect';
import { kWork } from '../src/rpc/context.ts';

/** How many calls a race fires: fewer under the stricter isolation, where each loser begins anew. */
export const crowd = process.env['ISOLATION'] ? 5 : 20;

/**
 * Holds calls of one method back until `count` of them stand at the same place, before their first write: all have read,
 * none has written. Opens after two seconds at the latest, so that a call that never gets there holds nobody.
 */
export class Barrier {
  readonly #method: string;
  readonly #opened = Promise.withResolvers<void>();
  #missing = Number.POSITIVE_INFINITY;

  constructor(method: string) {
    this.#method = method;
  }

  /** From now on the next `count` calls wait for each other. */
  expect(count: number): void {
    this.#missing = count;
    setTimeout(() => this.#opened.resolve(), 2000).unref();
  }

  /** Stands before the transaction of methods that have one, and before the method of those that write without. */
  interceptor(place: 'change' | 'method' = 'change'): Interceptor {
    return (next) => async (req) => {
      if (req.method.name !== this.#method || this.#missing === Number.POSITIVE_INFINITY) return next(req);
      if (place === 'method') await this.#wait();
      else this.#holdChanges(req.contextValues);
      return next(req);
    };
  }

  #holdChanges(values: ContextValues): void {
    const work = values.get(kWork)!;
    const wait = () => this.#wait();
    values.set(kWork, {
      get reads() {
        return work.reads;
      },
      async change(closure) {
        await wait();
        return work.change(closure);
      },
    });
  }

  async #wait(): Promise<void> {
    if (--this.#missing <= 0) this.#opened.resolve();
    await this.#opened.promise;
  }
}
