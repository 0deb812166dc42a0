import type { MikroORM } from '@mikro-orm/postgresql';
import { writeFailuresOf } from './autocommit.ts';
import type { WriteFailures } from './write-failures.ts';

/** Milliseconds for which one failed write counts. */
const memory = 10_000;
/** Milliseconds after a heartbeat within which the next one is expected. */
const longestPause = 5000;

/** Whether the database can be read and written. */
export class DatabaseHealth {
  readonly #failures: WriteFailures;
  /** Infinite until the first heartbeat begins. */
  #beatBy = Infinity;

  constructor(orm: MikroORM) {
    this.#failures = writeFailuresOf(orm);
  }

  /** Failed writes by SQLSTATE. */
  get writeFailures(): ReadonlyMap<string, number> {
    return this.#failures.counts;
  }

  /** Runs one heartbeat. Writes fail while none is confirmed. */
  async beat(beat: () => Promise<void>): Promise<void> {
    const expectNext = () => (this.#beatBy = performance.now() + longestPause);
    if (this.#beatBy === Infinity) expectNext();
    await beat();
    expectNext();
  }

  /** Degraded while writes fail: the server accepts them, but its disk is full or no standby confirms them. */
  readiness(isWritable: boolean) {
    if (!isWritable) return 'not ready';
    // A write that needs no space on the disk may succeed meanwhile, so a success alone does not mean that writes succeed.
    return this.#failures.age < memory || performance.now() > this.#beatBy ? 'degraded' : 'ready';
  }
}
