import { faultOf } from '../database/sqlstate.ts';

/**
 * Lets the calls that want one row go one after the other.
 *
 * Whoever waits for the lock of a row holds a connection meanwhile, so a hundred refreshes of one session would leave
 * none for anybody else. Here all but the first wait in memory. When the first cannot have the row in time, those behind
 * it are told so at once: each of them would only wait as long again.
 */
export class SessionMutex {
  readonly #last = new Map<string, Promise<unknown>>();

  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const mine = this.#last.get(key)?.then(work) ?? work();
    const done = mine.then(() => {}, throwOutage);
    this.#last.set(key, done);
    const leave = (): void => {
      if (this.#last.get(key) === done) this.#last.delete(key);
    };
    done.then(leave, leave);
    return mine;
  }
}

function throwOutage(error: unknown): void {
  if (faultOf(error) === 'unavailable') throw error;
}
