import { isIP } from 'node:net';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { Budgets } from './call-budget.ts';
import { neighborhoodOf, networkOf } from './client-network.ts';

/** How many failures are admitted, as the contract's FailureLimits says. Undefined is any number. */
export interface FailureLimits {
  readonly perAccount?: number | undefined;
  readonly consecutive?: number | undefined;
  readonly perNetwork?: number | undefined;
  readonly perProject?: number | undefined;
}

/** The counters that a guess counts in, and the number at which each is used up. */
export interface Lane {
  readonly keys: readonly string[];
  readonly limits: readonly number[];
  /** How long after its last failure a counter begins anew. */
  readonly seconds: readonly number[];
  /** What a success is told to forget: what was counted here, and on the account without a success between. */
  readonly forgiven: readonly string[];
}

/** One try of a password or a code for one address, before anybody knows whether either exists. */
export interface Guess {
  readonly projectId: string;
  /** Where it comes from, as PostgreSQL writes networks. Null when that cannot be told. */
  readonly network: string | null;
  /** The counters of those who come from nowhere the user has been. */
  readonly strangers: Lane;
  /** Those of a network that the user has a session from. */
  readonly known: Lane;
  /** The counters of strangers that are about no account. */
  readonly shared: readonly { readonly budget: 'network' | 'project'; readonly key: string; readonly limit: number }[];
}

const quarterHour = 15 * 60;
const thirtyDays = 30 * 86_400;

/**
 * Seconds until none of the counters is used up any more, null when none is, for statements that have the project, the
 * keys, their limits and the time as named.
 */
export const waitOf = (project: string, keys: string, limits: string, now: string) =>
  `(select max(extract(epoch from r.window_ends_at - ${now}))::float8 from unnest(${keys}, ${limits}) as b(key, most)
     join rate_limits r on r.project_id = ${project} and r.key = b.key
     where r.hits >= b.most and r.window_ends_at > ${now})`;

const ask = statement<{ wait: number | null }>(
  'guess_wait',
  `select ${waitOf('$1', '$2::text[]', '$3::int[]', '$4')} as wait`,
);

const forget = statement<{ key: string }>(
  'guess_forget',
  'delete from rate_limits where project_id = $1 and key = any($2::text[]) returning key',
);

// In the order of their keys, so that of two guesses at once none waits for the other's second row.
const count = statement<{ key: string; hits: number }>(
  'guess_count',
  `insert into rate_limits as r (project_id, key, window_ends_at, hits)
   select $1, b.key, $3::timestamptz + b.seconds * interval '1 second', 1
   from unnest($2::text[], $4::int[]) as b(key, seconds) order by b.key
   on conflict (project_id, key) do update set
     hits = case when r.window_ends_at <= $3 then 1 else r.hits + 1 end, window_ends_at = excluded.window_ends_at
   returning key, hits`,
);

/** What is guessed. Each has counters of its own: whoever is kept from trying one may still try the other. */
export type Guessed = 'password' | 'own password' | 'code';

// Those of passwords have had these names since before there was anything else to guess.
const names: Readonly<Record<Guessed, { soon: string; late: string; shared: string }>> = {
  password: { soon: 'guess', late: 'guesses', shared: 'failures' },
  // By whoever is signed in already, perhaps with a stolen token. Of a user, not of an address.
  'own password': { soon: 'own', late: 'own guesses', shared: 'own failures' },
  code: { soon: 'code', late: 'codes', shared: 'wrong codes' },
};

/**
 * Bounds how often passwords or codes are guessed, and locks nobody out. What follows is of passwords; auth/magic-link-code.ts
 * says what is different for codes.
 *
 * Whoever comes from a network that the user has a session from is bound by counters of their own; those of strangers,
 * which anybody can use up, do not touch them. A failure is counted after the hash, and its verdict is given only when
 * the counters had room for it: of any number of guesses at once as many learn something as are admitted. All of it is
 * the same for addresses that nobody has, under a keyed hash, so that the table is no list of who was tried.
 */
export class FailedAttempts {
  readonly #keys: MasterKeys;
  readonly #budgets: Budgets;
  readonly #limits: FailureLimits;
  readonly #names: (typeof names)[Guessed];

  constructor(guessed: Guessed, keys: MasterKeys, budgets: Budgets, limits: FailureLimits) {
    this.#names = names[guessed];
    this.#keys = keys;
    this.#budgets = budgets;
    this.#limits = limits;
  }

  /** A guess at the address, as emailKey spells it, from a client's address. */
  of(projectId: string, email: string, address: string): Guess {
    const network = isIP(address) ? networkOf(address) : null;
    const { soon, late, lateKnown } = this.#namesOf(email);
    const { perNetwork, perProject } = this.#limits;
    const failures = `${this.#names.shared} ${projectId}`;
    const shared = [
      { budget: 'network', key: `${failures} ${neighborhoodOf(address)}`, limit: perNetwork },
      { budget: 'project', key: failures, limit: perProject },
    ] as const;
    return {
      projectId,
      network,
      strangers: this.#laneOf(soon, late, [soon, late, lateKnown]),
      known: this.#laneOf(`${soon} ${network}`, lateKnown, [`${soon} ${network}`, late, lateKnown]),
      shared: shared.flatMap((each) => (each.limit === undefined ? [] : [{ ...each, limit: each.limit }])),
    };
  }

  /** The keys of all that is counted for an address. */
  keysOf(email: string): string[] {
    return Object.values(this.#namesOf(email));
  }

  /** Throws OVER_REQUEST_RATE_LIMIT while strangers have failed as often as they may, wherever they wanted in. */
  requireCalm({ shared }: Guess): void {
    for (const { budget, key } of shared) refuseFor(this.#budgets.waitOf(key), budget);
  }

  /** Counts a failure. Throws OVER_REQUEST_RATE_LIMIT when there was no room for it, and no verdict is to be given. */
  async count(autocommit: Autocommit, guess: Guess, isKnown: boolean, now: Date): Promise<void> {
    const wait = await this.countOnAccount(autocommit, guess, isKnown ? guess.known : guess.strangers, now);
    if (!isKnown) await this.takeOfStrangers(guess);
    refuseFor(wait, 'account');
  }

  /** Counts a failure of the account's, and answers with the seconds to wait when there was no room for it. */
  async countOnAccount(on: Autocommit, { projectId }: Guess, lane: Lane, now: Date): Promise<number> {
    const { keys, limits, seconds } = lane;
    const counted = keys.length === 0 ? [] : await count(on, [projectId, keys, now, seconds]);
    const hitsOf = new Map(counted.map(({ key, hits }) => [key, hits]));
    return Math.max(0, ...seconds.filter((_, n) => hitsOf.get(keys[n]!)! > limits[n]!));
  }

  /** Counts a failure of strangers. Throws OVER_REQUEST_RATE_LIMIT when there was no room for it. */
  async takeOfStrangers({ shared }: Guess): Promise<void> {
    for (const { budget, key, limit } of shared) refuseFor(await this.#budgets.take(key, limit), budget);
  }

  /** It was counted beforehand, and was none. */
  giveBack({ shared }: Guess): void {
    for (const { key } of shared) this.#budgets.giveBack(key);
  }

  /** Seconds until the account's counters have room for one more failure of strangers, 0 when they have. */
  async waitOf(on: Autocommit, { projectId, strangers }: Guess, now: Date): Promise<number> {
    const [row] = await ask(on, [projectId, strangers.keys, strangers.limits, now]);
    return row!.wait ?? 0;
  }

  /** Forgets all that was counted for the address. */
  async forget(em: EntityManager, projectId: string, email: string): Promise<void> {
    await forget(em, [projectId, this.keysOf(email)]);
  }

  #laneOf(soon: string, late: string, forgiven: readonly string[]): Lane {
    const { perAccount, consecutive } = this.#limits;
    const all = [
      { key: soon, limit: perAccount, seconds: quarterHour },
      { key: late, limit: consecutive, seconds: thirtyDays },
    ].flatMap(({ limit, ...rest }) => (limit === undefined ? [] : [{ limit, ...rest }]));
    return {
      keys: all.map(({ key }) => key),
      limits: all.map(({ limit }) => limit),
      seconds: all.map(({ seconds }) => seconds),
      forgiven: all.length > 0 ? forgiven : [],
    };
  }

  #namesOf(email: string) {
    const { soon, late } = this.#names;
    const name = this.#keys.mac('guesses', email).toString('base64url');
    return { soon: `${soon} ${name}`, late: `${late} ${name}`, lateKnown: `${late} ${name} known` };
  }
}

/** Throws when there is a time to wait. */
export function refuseFor(seconds: number, budget: 'account' | 'network' | 'project'): void {
  if (seconds > 0) throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: seconds, budget });
}
