import { faultOf } from '../database/sqlstate.ts';
import type { Window } from './rate-limit-table.ts';

/** Counts `hits` against the shared budget of a key. */
export type Count = (key: string, hits: number) => Promise<Window>;

interface Lease {
  /** Calls that were counted in the database already and not made yet. */
  left: number;
  /** Calls of this window that the database has not been told of. */
  insured: number;
  block: number;
  takenAt: number;
  /** Milliseconds on the monotonic clock. */
  endsAt: number;
  refusedUntil: number;
  taking: Promise<void> | undefined;
}

const mostLeases = 50_000;
// Milliseconds in which the database is not asked after it could not be reached: asking may take a second, and callers
// would wait for it one behind the other.
const pauseAfterFault = 1000;

/**
 * Budgets per key and minute, shared by all replicas.
 *
 * Small budgets are counted call by call. Large ones are leased in blocks that grow when they are used up within a
 * second, so that a busy address costs about one statement a second; replicas may then hold a few leased calls that are
 * never made. While the database cannot be reached, this process counts for itself: the limit does not open.
 */
export class Budgets {
  readonly #count: Count;
  readonly #leases = new Map<string, Lease>();
  readonly #clock: () => number;
  #askAgainAt = -Infinity;

  constructor(count: Count, clock: () => number = () => performance.now()) {
    this.#count = count;
    this.#clock = clock;
  }

  /** Takes one call. Answers with the seconds to wait when the budget is used up, and 0 when the call may pass. */
  async take(key: string, limit: number): Promise<number> {
    const lease = this.#leaseOf(key);
    for (;;) {
      const now = this.#clock();
      if (now < lease.refusedUntil) return (lease.refusedUntil - now) / 1000;
      if (lease.left > 0 && now < lease.endsAt) {
        lease.left--;
        return 0;
      }
      // One call asks the database; those that come meanwhile wait for its answer.
      lease.taking ??= this.#renew(key, lease, limit).finally(() => {
        lease.taking = undefined;
      });
      await lease.taking;
    }
  }

  /** Returns a call that was taken and is not to count. Other replicas are not told: it is for the next call here. */
  giveBack(key: string): void {
    const lease = this.#leases.get(key);
    if (lease && this.#clock() < lease.endsAt) lease.left++;
  }

  /** Seconds until calls may pass again, as far as this process has been told; 0 when it has not been refused. */
  waitOf(key: string): number {
    return Math.max(0, ((this.#leases.get(key)?.refusedUntil ?? 0) - this.#clock()) / 1000);
  }

  async #renew(key: string, lease: Lease, limit: number): Promise<void> {
    const now = this.#clock();
    const isBusy = now - lease.takenAt < 1000;
    lease.block = limit < 60 ? 1 : Math.min(limit, isBusy ? lease.block * 2 : Math.ceil(limit / 60));
    lease.takenAt = now;
    const { hits, remaining } = await this.#countOrInsure(key, lease, now);
    const granted = Math.max(0, lease.block - Math.max(0, hits - limit));
    lease.left = granted;
    lease.endsAt = now + remaining * 1000;
    if (granted === 0) lease.refusedUntil = lease.endsAt;
  }

  async #countOrInsure(key: string, lease: Lease, now: number): Promise<Window> {
    if (now >= lease.endsAt) lease.insured = 0;
    if (now >= this.#askAgainAt) {
      try {
        const window = await this.#count(key, lease.block + lease.insured);
        lease.insured = 0;
        return window;
      } catch (error) {
        if (faultOf(error) === undefined) throw error;
        this.#askAgainAt = this.#clock() + pauseAfterFault;
      }
    }
    lease.insured += lease.block;
    return { hits: lease.insured, remaining: Math.max(1, now < lease.endsAt ? (lease.endsAt - now) / 1000 : 60) };
  }

  #leaseOf(key: string): Lease {
    const known = this.#leases.get(key);
    if (known) return known;
    if (this.#leases.size >= mostLeases) this.#leases.delete(this.#leases.keys().next().value!);
    const lease = { left: 0, insured: 0, block: 1, takenAt: -Infinity, endsAt: 0, refusedUntil: 0, taking: undefined };
    this.#leases.set(key, lease);
    return lease;
  }
}
