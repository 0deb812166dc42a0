import type pg from 'pg';

/** SQLSTATEs of writes that fail because of the server: it is read-only, its disk is full, or no standby confirms. */
const ofServer: readonly string[] = ['25006', '53100', '40003'];

/** A client that reports failed statements. */
export interface Reporting {
  /** Receives the SQLSTATE of each. */
  onFailure: (sqlstate: string) => void;
}

/** The writes of a pool that failed because of the server, whatever their values were. */
export class WriteFailures {
  readonly #counts = new Map(ofServer.map((sqlstate) => [sqlstate, 0]));
  #lastAt = -Infinity;

  constructor(pool: pg.Pool) {
    pool.on('connect', (client) => {
      (client as unknown as Reporting).onFailure = (sqlstate) => this.#note(sqlstate);
    });
  }

  /** By SQLSTATE. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Milliseconds since the last one. */
  get age(): number {
    return performance.now() - this.#lastAt;
  }

  #note(sqlstate: string): void {
    const count = this.#counts.get(sqlstate);
    if (count === undefined) return;
    this.#counts.set(sqlstate, count + 1);
    this.#lastAt = performance.now();
  }
}
