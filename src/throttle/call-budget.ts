import type { Autocommit } from '../database/autocommit.ts';
import { faultOf } from '../database/sqlstate.ts';
import { rowOfBudget } from './address-budget.ts';
import { countHits, type Window, waitFor } from './rate-limit-table.ts';

/** Counts hits of a key in the window that all replicas share. */
export type Count = (key: string, hits: number) => Promise<Window>;

/** The seconds until that window has room below a limit, 0 when it has. */
export type Look = (key: string, limit: number) => Promise<number>;

interface Lease {
  /** Calls that the database has counted and that were not made yet. */
  left: number;
  /** Calls of this window that were made while the database could not count them. */
  uncounted: number;
  /** How many calls were leased last. */
  block: number;
  // All times are milliseconds of the monotonic clock.
  renewedAt: number;
  endsAt: number;
  refusedUntil: number;
  /** The renewal in progress. */
  renewal: Promise<void> | undefined;
}

const mostLeases = 50_000;
// Milliseconds without a statement after the database could not be reached: each may take a second to fail, and callers
// would wait one after the other.
const pauseAfterFault = 1000;

/**
 * Budgets of calls per key and minute, shared by all replicas.
 *
 * Small budgets are counted call by call. Large budgets are leased in blocks that grow while each is used up within a
 * second, so a busy key costs about one statement per second. A replica may then hold leased calls that are never made.
 * While the database cannot be reached, each process counts its own calls, and the limit still holds within it.
 */
export class CallBudgets {
  readonly #count: Count;
  readonly #look: Look;
  readonly #leases = new Map<string, Lease>();
  readonly #clock: () => number;
  #askAgainAt = -Infinity;

  /** `clock` returns monotonic milliseconds. */
  constructor(count: Count, clock: () => number = () => performance.now(), look: Look = async () => 0) {
    this.#count = count;
    this.#look = look;
    this.#clock = clock;
  }

  /** Budgets that are counted in the table rate_limits. */
  static inDatabase({ autocommit, now, elapsed }: CountedIn): CallBudgets {
    const count: Count = (name, hits) => countHits(autocommit, { ...rowOfBudget(name), hits }, now());
    return new CallBudgets(count, elapsed, (name, limit) =>
      waitFor(autocommit, { ...rowOfBudget(name), limit }, now()),
    );
  }

  /** Takes one call. Returns 0 when the call may pass, and else the seconds until the budget has calls again. */
  async take(key: string, limit: number): Promise<number> {
    const lease = this.#leaseOf(key);
    for (;;) {
      const now = this.#clock();
      if (now < lease.refusedUntil) return (lease.refusedUntil - now) / 1000;
      if (lease.left > 0 && now < lease.endsAt) {
        lease.left--;
        return 0;
      }
      // One call renews the lease; calls that arrive meanwhile wait for the result.
      lease.renewal ??= this.#renew(key, lease, limit).finally(() => {
        lease.renewal = undefined;
      });
      await lease.renewal;
    }
  }

  /** Seconds until the budget has calls again on any replica, without taking one. 0 when it has some. */
  async peek(key: string, limit: number): Promise<number> {
    const known = this.waitOf(key);
    if (known > 0 || this.#clock() < this.#askAgainAt) return known;
    try {
      return await this.#look(key, limit);
    } catch (error) {
      this.#pauseAfter(error);
      return 0;
    }
  }

  /** Returns a call that was taken and must not count. It goes back to this replica's lease, not to the database. */
  giveBack(key: string): void {
    const lease = this.#leases.get(key);
    if (lease && this.#clock() < lease.endsAt) lease.left++;
  }

  /** Seconds until the budget has calls again, as far as this process knows. 0 when it was not refused any. */
  waitOf(key: string): number {
    return Math.max(0, ((this.#leases.get(key)?.refusedUntil ?? 0) - this.#clock()) / 1000);
  }

  async #renew(key: string, lease: Lease, limit: number): Promise<void> {
    const now = this.#clock();
    const isBusy = now - lease.renewedAt < 1000;
    lease.block = nextBlock(lease.block, limit, isBusy);
    lease.renewedAt = now;
    if (now >= lease.endsAt) lease.uncounted = 0;
    const { hits, remaining } = (await this.#countShared(key, lease)) ?? countAlone(lease, now);
    lease.left = grantOf({ asked: lease.block, hits, limit });
    lease.endsAt = now + remaining * 1000;
    if (lease.left === 0) lease.refusedUntil = lease.endsAt;
  }

  /** Undefined while the database cannot be reached. */
  async #countShared(key: string, lease: Lease): Promise<Window | undefined> {
    if (this.#clock() < this.#askAgainAt) return undefined;
    try {
      const window = await this.#count(key, lease.block + lease.uncounted);
      lease.uncounted = 0;
      return window;
    } catch (error) {
      this.#pauseAfter(error);
      return undefined;
    }
  }

  /** Throws the error unless it means that the database cannot be reached. */
  #pauseAfter(error: unknown): void {
    if (faultOf(error) === undefined) throw error;
    this.#askAgainAt = this.#clock() + pauseAfterFault;
  }

  #leaseOf(key: string): Lease {
    const known = this.#leases.get(key);
    if (known) return known;
    if (this.#leases.size >= mostLeases) this.#leases.delete(this.#leases.keys().next().value!);
    const times = { renewedAt: -Infinity, endsAt: 0, refusedUntil: 0 };
    const lease = { left: 0, uncounted: 0, block: 1, ...times, renewal: undefined };
    this.#leases.set(key, lease);
    return lease;
  }
}

interface CountedIn {
  readonly autocommit: Autocommit;
  readonly now: () => Date;
  /** Monotonic milliseconds; those of the process by default. */
  readonly elapsed: (() => number) | undefined;
}

/** How many calls to lease next: one of a small budget; of a large one a sixtieth, doubled while the key is busy. */
export function nextBlock(previous: number, limit: number, isBusy: boolean): number {
  if (limit < 60) return 1;
  return Math.min(limit, isBusy ? previous * 2 : Math.ceil(limit / 60));
}

/** How many of the calls asked for may pass, when the window counts `hits` with them included. */
export function grantOf({ asked, hits, limit }: { asked: number; hits: number; limit: number }): number {
  const excess = Math.max(0, hits - limit);
  return Math.max(0, asked - excess);
}

/** The window as this process counts it: the one that the database began, or a new one of a minute. */
function countAlone(lease: Lease, now: number): Window {
  lease.uncounted += lease.block;
  const remaining = now < lease.endsAt ? (lease.endsAt - now) / 1000 : 60;
  return { hits: lease.uncounted, remaining: Math.max(1, remaining) };
}
