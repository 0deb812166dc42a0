import { isIP } from 'node:net';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { CallBudgets } from './call-budget.ts';
import { neighborhoodOf, networkOf } from './client-network.ts';
import type { FailureLimits } from './configured-limits.ts';
import { addToWindow } from './rate-limit-table.ts';

/** A counter of failures in the table durable_rate_limits. */
interface Counter {
  readonly key: string;
  /** The number of failures that uses it up. */
  readonly limit: number;
  /** It is reset so many seconds after its last failure. */
  readonly seconds: number;
}

/** The counters that a failure counts in. */
export interface CounterSet {
  readonly counters: readonly Counter[];
  /** The counters that a success clears: these, and the failures in a row from either kind of network. */
  readonly clearedKeys: readonly string[];
}

/** One try of a password or a code for one address, before it is known whether either exists. */
export interface Attempt {
  readonly projectId: string;
  /** The client's network as PostgreSQL writes it. Null when its address is not known. */
  readonly network: string | null;
  /** Counts failures from networks where the user has no session. */
  readonly unknownNetwork: CounterSet;
  /** Counts failures from this network, for when the user has a session there. */
  readonly knownNetwork: CounterSet;
  /** Budgets of failures from unknown networks that concern no single account. */
  readonly shared: readonly { readonly budget: 'network' | 'project'; readonly key: string; readonly limit: number }[];
}

const quarterHour = 15 * 60;
const thirtyDays = 30 * 86_400;

/**
 * SQL: the seconds until none of the counters is used up, null when none is now. `keys` and `limits` are arrays; the
 * statement's parameters include `:projectId` and `:now`.
 */
export const secondsUntilRoom = (keys: string, limits: string) =>
  `(select max(extract(epoch from r.window_ends_at - :now))::float8 from unnest(${keys}, ${limits}) as c(key, most)
     join durable_rate_limits r on r.project_id = :projectId and r.key = c.key
     where r.hits >= c.most and r.window_ends_at > :now)`;

const readWait = statement<
  { wait: number | null },
  { projectId: string; keys: readonly string[]; limits: readonly number[]; now: Date }
>('failed_attempts_wait', `select ${secondsUntilRoom(':keys::text[]', ':limits::int[]')} as wait`);

const deleteCounters = statement<{ key: string }, { projectId: string; keys: readonly string[] }>(
  'failed_attempts_clear',
  'delete from durable_rate_limits where project_id = :projectId and key = any(:keys::text[]) returning key',
);

// In the order of their keys, so that two attempts at once never wait for each other's second row.
const countFailure = statement<
  { key: string; hits: number },
  { projectId: string; keys: readonly string[]; seconds: readonly number[]; now: Date }
>(
  'failed_attempts_count',
  `insert into durable_rate_limits as r (project_id, key, window_ends_at, hits)
   select :projectId, c.key, :now::timestamptz + c.seconds * interval '1 second', 1
   from unnest(:keys::text[], :seconds::int[]) as c(key, seconds) order by c.key
   ${addToWindow('sliding')}
   returning key, hits`,
);

/** Each kind of attempt has its own counters: too many wrong codes do not affect sign-ins by password. */
export type AttemptKind =
  | 'password'
  /** By a signed-in user, perhaps with a stolen token. Counted by user, not by address. */
  | 'own password'
  | 'code'
  /** Of a second factor. Counted by factor, so that a user who is locked out of one has the others. */
  | 'factor';

/**
 * Limits how often passwords or codes are tried, without locking anybody out. The rules below are those of passwords;
 * auth/magic-link-code.ts has those of codes.
 *
 * Anybody can use up the counters of unknown networks. An attempt from a network where the user has a session is
 * therefore counted and limited separately. A failure is counted after the hash, and the verdict is returned only if the
 * counters had room: of parallel attempts, no more learn a verdict than are admitted. Addresses without a user are
 * counted in the same way, under a keyed hash, so that the table does not list who was tried.
 */
export class FailedAttempts {
  readonly #kind: AttemptKind;
  readonly #keys: MasterKeys;
  readonly #budgets: CallBudgets;
  readonly #limitsOf: (projectId: string) => FailureLimits;

  /** `limitsOf` returns the limits of a project. */
  constructor(
    kind: AttemptKind,
    keys: MasterKeys,
    budgets: CallBudgets,
    limitsOf: (projectId: string) => FailureLimits,
  ) {
    this.#kind = kind;
    this.#keys = keys;
    this.#budgets = budgets;
    this.#limitsOf = limitsOf;
  }

  /** An attempt from a client's address. The subject is an e-mail address as emailKey spells it, or a user's id. */
  attempt(projectId: string, subject: string, address: string): Attempt {
    const network = isIP(address) ? networkOf(address) : null;
    const { recent, streak, streakOnKnownNetworks } = this.#namesOf(subject);
    const limits = this.#limitsOf(projectId);
    const { perNetwork, perProject } = limits;
    const failures = `${this.#kind} failures ${projectId}`;
    const recentHere = `${recent} ${network}`;
    const shared = [
      { budget: 'network', key: `${failures} ${neighborhoodOf(address)}`, limit: perNetwork },
      { budget: 'project', key: failures, limit: perProject },
    ] as const;
    return {
      projectId,
      network,
      unknownNetwork: counterSet(limits, { recent, streak, cleared: [recent, streak, streakOnKnownNetworks] }),
      knownNetwork: counterSet(limits, {
        recent: recentHere,
        streak: streakOnKnownNetworks,
        cleared: [recentHere, streak, streakOnKnownNetworks],
      }),
      shared: shared.flatMap(({ limit, ...rest }) => (limit === undefined ? [] : [{ ...rest, limit }])),
    };
  }

  /** The keys of the counters that a new password or a success by mail clears. */
  keysOf(subject: string): string[] {
    return Object.values(this.#namesOf(subject));
  }

  /** Throws OVER_REQUEST_RATE_LIMIT while the client's network or the project has had too many failures. */
  requireSharedRoom({ shared }: Attempt): void {
    for (const { budget, key } of shared) refuseFor(this.#budgets.waitOf(key), budget);
  }

  /** Counts a failure. Throws OVER_REQUEST_RATE_LIMIT when the counters had no room: the verdict must stay hidden. */
  async count(autocommit: Autocommit, attempt: Attempt, now: Date, isKnownNetwork: boolean): Promise<void> {
    const wait = await this.countOnAccount(autocommit, attempt, now, isKnownNetwork);
    if (!isKnownNetwork) await this.takeShared(attempt);
    refuseFor(wait, 'account');
  }

  /** Counts a failure on the account alone. Returns the seconds to wait when the counters had no room, and else 0. */
  async countOnAccount(autocommit: Autocommit, attempt: Attempt, now: Date, isKnownNetwork?: boolean): Promise<number> {
    return (await this.countLast(autocommit, attempt, now, isKnownNetwork)).wait;
  }

  /** The same, and whether this failure was the last one that a counter had room for. */
  async countLast(
    autocommit: Autocommit,
    { projectId, knownNetwork, unknownNetwork }: Attempt,
    now: Date,
    isKnownNetwork = false,
  ): Promise<{ readonly wait: number; readonly isLast: boolean }> {
    const { counters } = isKnownNetwork ? knownNetwork : unknownNetwork;
    if (counters.length === 0) return { wait: 0, isLast: false };
    const { keys, seconds } = columnsOf(counters);
    const counted = await countFailure(autocommit, { projectId, keys, seconds, now });
    const hitsOf = new Map(counted.map(({ key, hits }) => [key, hits]));
    const exceeded = counters.filter(({ key, limit }) => hitsOf.get(key)! > limit);
    const isLast = counters.some(({ key, limit }) => hitsOf.get(key) === limit);
    return { wait: Math.max(0, ...exceeded.map((each) => each.seconds)), isLast };
  }

  /** Counts a failure on the network and the project. Throws OVER_REQUEST_RATE_LIMIT when either had no room. */
  async takeShared({ shared }: Attempt): Promise<void> {
    for (const { budget, key, limit } of shared) refuseFor(await this.#budgets.take(key, limit), budget);
  }

  /** Takes back what `takeShared` counted: the attempt was no failure. */
  giveBackShared({ shared }: Attempt): void {
    for (const { key } of shared) this.#budgets.giveBack(key);
  }

  /** Seconds until the account's counters of unknown networks have room for a failure, 0 when they have room. */
  async waitOf(autocommit: Autocommit, { projectId, unknownNetwork }: Attempt, now: Date): Promise<number> {
    const { keys, limits } = columnsOf(unknownNetwork.counters);
    const [row] = await readWait(autocommit, { projectId, keys, limits, now });
    return row!.wait ?? 0;
  }

  /** Deletes the counters of an address. Recent failures from single known networks stay counted. */
  async clear(em: EntityManager, projectId: string, subject: string): Promise<void> {
    await deleteCounters(em, { projectId, keys: this.keysOf(subject) });
  }

  /** The keys of an address's counters: of the last quarter of an hour, and of failures in a row by kind of network. */
  #namesOf(subject: string) {
    const hash = this.#keys.mac('failed attempts', subject).toString('base64url');
    const streak = `${this.#kind} streak ${hash}`;
    return { recent: `${this.#kind} recent ${hash}`, streak, streakOnKnownNetworks: `${streak} known` };
  }
}

function counterSet(
  { perAccount, consecutive }: FailureLimits,
  { recent, streak, cleared }: { recent: string; streak: string; cleared: string[] },
): CounterSet {
  const counters = [
    { key: recent, limit: perAccount, seconds: quarterHour },
    { key: streak, limit: consecutive, seconds: thirtyDays },
  ].flatMap(({ limit, ...rest }) => (limit === undefined ? [] : [{ ...rest, limit }]));
  return { counters, clearedKeys: counters.length > 0 ? cleared : [] };
}

/** Counters as arrays, as statements take them. */
export function columnsOf(counters: readonly Counter[]) {
  return {
    keys: counters.map(({ key }) => key),
    limits: counters.map(({ limit }) => limit),
    seconds: counters.map(({ seconds }) => seconds),
  };
}

/** Throws OVER_REQUEST_RATE_LIMIT when there are seconds to wait. */
export function refuseFor(seconds: number, budget: 'account' | 'network' | 'project'): void {
  if (seconds > 0) throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: seconds, budget });
}
