import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Logger } from 'pino';
import { Autocommit } from '../database/autocommit.ts';
import { type SharedWork, sharedWork } from '../database/lease.ts';
import { statement } from '../database/statement.ts';

/** Milliseconds for which a lease is taken: after this time, another process does the work of one that was killed. */
export const leaseTime = 10_000;
/** A lease with less time left is renewed. */
const renewalTime = 6_000;

/** A lease as the database has it. */
export interface LeaseState {
  readonly name: string;
  readonly holder: string | null;
  /** Milliseconds; negative once the lease has expired, null if nobody has had it. */
  readonly left: number | null;
}

/** SQL: all leases. The times are those of the database, because the clocks of two processes may differ. */
export const leaseStates = `(select json_agg(json_build_object('name', l.name, 'holder', l.holder,
     'left', extract(epoch from l.until - clock_timestamp()) * 1000)) from leases l)`;

// Work that is under way has its row locked, and nobody takes its lease meanwhile. A lease with more time than anybody is
// given was written before the clock of the database was set back.
const take = statement<{ name: string }, { names: readonly string[]; holder: string; seconds: number }>(
  'leases_take',
  `with free as (
     select l.name from leases l
     where l.name = any(:names::text[]) and (l.holder = :holder or l.until is null
         or l.until not between clock_timestamp() and clock_timestamp() + (:seconds::float8 + 1) * interval '1 second')
     for update skip locked
   )
   update leases l set holder = :holder, until = clock_timestamp() + :seconds::float8 * interval '1 second'
   from free where l.name = free.name returning l.name`,
);

const giveUp = statement<object, { holder: string }>(
  'leases_release',
  'update leases set holder = null, until = null where holder = :holder returning name',
);

function isFree({ left }: LeaseState): boolean {
  return left === null || left < 0 || left > leaseTime + 1000;
}

/**
 * The shared work that this process does for all processes of the database. A lease only decides who tries: what must not
 * happen twice is excluded by the transaction that does it.
 */
export class Leases {
  /** Unique for each process, and readable for operators. */
  readonly holder = `${hostname().slice(0, 64)} ${process.pid} ${randomUUID().slice(0, 8)}`;
  readonly #autocommit: Autocommit;
  readonly #log: Logger;
  readonly #heldUntil = new Map<string, number>();
  readonly #takeovers = new Map<SharedWork, number>(sharedWork.map((name) => [name, 0]));
  #seen: readonly LeaseState[] | undefined;

  constructor(orm: MikroORM, log: Logger) {
    this.#autocommit = new Autocommit(orm);
    this.#log = log;
  }

  holds(name: SharedWork): boolean {
    return performance.now() < (this.#heldUntil.get(name) ?? Number.NEGATIVE_INFINITY);
  }

  /** How often this process took each lease from another one, or as the first. */
  get takeovers(): ReadonlyMap<SharedWork, number> {
    return this.#takeovers;
  }

  /**
   * Renews the leases of this process and takes those that are free. `states` were read since `readAt`, by the monotonic
   * clock; the same ones are used once. Returns whether a lease was taken.
   */
  async keep(states: readonly LeaseState[], readAt: number): Promise<boolean> {
    if (states === this.#seen) return false;
    this.#seen = states;
    const isMine = ({ holder }: LeaseState) => holder === this.holder;
    for (const each of states)
      if (isMine(each)) this.#heldUntil.set(each.name, readAt + each.left!);
      else this.#heldUntil.delete(each.name);
    const wanted = states.filter((each) => (isMine(each) ? each.left! < renewalTime : isFree(each)));
    const names = wanted.map(({ name }) => name).filter((name) => sharedWork.some((each) => each === name));
    if (names.length === 0) return false;
    const sentAt = performance.now();
    const taken = await take(this.#autocommit, { names, holder: this.holder, seconds: leaseTime / 1000 });
    for (const { name } of taken) this.#heldUntil.set(name, sentAt + leaseTime);
    const fresh = wanted.filter((each) => !isMine(each) && taken.some(({ name }) => name === each.name));
    for (const { name, holder } of fresh) this.#noteTaken(name as SharedWork, holder);
    return fresh.length > 0;
  }

  #noteTaken(name: SharedWork, former: string | null): void {
    this.#takeovers.set(name, this.#takeovers.get(name)! + 1);
    this.#log.info({ lease: name, holder: this.holder, former }, 'a lease was taken');
  }

  /** Lets another process take the leases at once. */
  async release(): Promise<void> {
    if (![...sharedWork].some((name) => this.holds(name))) return;
    this.#heldUntil.clear();
    await giveUp(this.#autocommit, { holder: this.holder });
  }
}
