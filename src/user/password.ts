import type { HandlerContext } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { projectOf } from '../rpc/context.ts';
import { HashGate } from './hash-gate.ts';
import { markImported, matchesImported, readImported, readMarked } from './imported-hash.ts';
import {
  type Derive,
  fastestDerive,
  type HashCost,
  type HashFault,
  hashFaultOf,
  hashWith,
  isOutdated,
  type Pepper,
  saltAfter,
  verifyWith,
} from './password-hash.ts';
import { weaknessesOf } from './password-strength.ts';

export interface PasswordRules {
  readonly cost: HashCost;
  /** The first one is part of new hashes. */
  readonly peppers: readonly Pepper[];
  /** How many hashes run at a time. */
  readonly hashConcurrency: number;
  /** How many calls may wait for a hash. */
  readonly hashQueue: number;
}

interface PasswordOptions {
  readonly rules: PasswordRules;
  readonly minLengthOf: MinLengthOf;
}

export type { HashFault } from './password-hash.ts';

/** The least number of code points of a new password in a project. */
export type MinLengthOf = (projectId: string) => number;

/** Wraps each hash while it runs, for example to time or trace it. */
export type AroundHash = <T>(hash: () => Promise<T>) => Promise<T>;

export interface HashObserver {
  readonly around: AroundHash;
  /** Called when a password was to be checked against a stored hash that cannot be read. */
  readonly onUnreadable: (fault: HashFault) => void;
}

const unobserved: HashObserver = { around: (hash) => hash(), onUnreadable: () => {} };

/**
 * Makes and checks password hashes, a few at a time.
 *
 * Passwords are normalised to NFKC first (SP 800-63B-4 section 3.1.1.2), so that the same password typed on another
 * keyboard matches. They are neither trimmed nor truncated.
 */
export class Passwords {
  readonly #rules: PasswordRules;
  readonly #derive: Derive;
  readonly #gate: HashGate;
  readonly #decoy: string;
  readonly #observer: HashObserver;
  readonly #minLengthOf: MinLengthOf;

  private constructor({ rules, minLengthOf }: PasswordOptions, derive: Derive, decoy: string, observer: HashObserver) {
    this.#rules = rules;
    this.#minLengthOf = minLengthOf;
    this.#derive = derive;
    this.#gate = new HashGate(rules.hashConcurrency, rules.hashQueue);
    this.#decoy = decoy;
    this.#observer = observer;
  }

  static async open(rules: PasswordRules, minLengthOf: MinLengthOf, observer = unobserved): Promise<Passwords> {
    const derive = await fastestDerive();
    const [pepper] = rules.peppers;
    const decoy = await hashWith(derive, bytesOf('no user has this password'), rules.cost, { pepper });
    return new Passwords({ rules, minLengthOf }, derive, decoy, observer);
  }

  /** How many hashes run, how many calls wait, and how many may wait. */
  get load() {
    return this.#gate.load;
  }

  /** Throws OVER_CAPACITY when a password could not be checked now. */
  requireRoom(): void {
    this.#gate.requireRoom();
  }

  /** Hashes a new password of the call's project. `personal` are words that it must not consist of. Throws WEAK_PASSWORD with all the reasons, or OVER_CAPACITY. */
  async hashNew(
    password: string,
    personal: readonly string[],
    context: Pick<HandlerContext, 'values' | 'signal'>,
  ): Promise<string> {
    const minLength = this.#minLengthOf(projectOf(context));
    const reasons = await weaknessesOf(password, minLength, personal);
    if (reasons.length > 0)
      throw new Refusal('WEAK_PASSWORD', {
        metadata: { reasons: reasons.join(','), min_length: `${minLength}` },
      });
    return this.hash(password, context.signal);
  }

  hash(password: string, signal: AbortSignal): Promise<string> {
    const { cost, peppers } = this.#rules;
    const [pepper] = peppers;
    return this.#inTurn(() => hashWith(this.#derive, bytesOf(password), cost, { pepper }), signal);
  }

  /** Hashes a password at the current cost. It has just matched `stored`, which the new hash replaces. */
  rehash(stored: string, password: string, signal: AbortSignal): Promise<string> {
    const { cost, peppers } = this.#rules;
    const [pepper] = peppers;
    const salt = saltAfter(stored);
    return this.#inTurn(() => hashWith(this.#derive, bytesOf(password), cost, { pepper, salt }), signal);
  }

  /**
   * Checks a password. Without a readable stored hash a decoy is checked, so that an unknown address takes as long as a
   * wrong password: either way exactly one hash is computed. Without `decoy` it is one at the current cost. A hash of
   * another system has its own cost until the first sign-in replaces it.
   */
  async matches(
    stored: string | null | undefined,
    password: string,
    signal: AbortSignal,
    decoy = this.#decoy,
  ): Promise<boolean> {
    const own = stored ? this.#checkFor(stored) : undefined;
    const fault = stored && !own ? hashFaultOf(stored, this.#rules.peppers) : undefined;
    if (fault) this.#observer.onUnreadable(fault);
    const check = own ?? this.#checkFor(decoy) ?? this.#checkFor(this.#decoy)!;
    const matches = await this.#inTurn(() => check(password), signal);
    return matches && own !== undefined;
  }

  /** Undefined for a hash that cannot be read. */
  #checkFor(stored: string): ((password: string) => Promise<boolean>) | undefined {
    const imported = readMarked(stored);
    if (imported) return 'check' in imported ? (password) => matchesImported(imported.check, password) : undefined;
    const { peppers } = this.#rules;
    if (hashFaultOf(stored, peppers)) return undefined;
    return (password) => verifyWith(this.#derive, stored, bytesOf(password), peppers);
  }

  /** Whether a password can be checked against a stored hash. */
  isReadable(stored: string): boolean {
    return this.#checkFor(stored) !== undefined;
  }

  /** The hash of another system as it is stored. Throws HASH_NOT_SUPPORTED with the reason. */
  takeOver(hash: string): string {
    const read = readImported(hash);
    if ('why' in read) throw new Refusal('HASH_NOT_SUPPORTED', { metadata: { why: read.why } });
    return markImported(hash);
  }

  #inTurn<T>(hash: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#gate.pass(() => this.#observer.around(hash), signal);
  }

  /** Whether a stored hash should be replaced by one at the current cost. */
  isOutdated(stored: string): boolean {
    return isOutdated(stored, this.#rules.cost, this.#rules.peppers[0]);
  }
}

function bytesOf(password: string): Buffer {
  return Buffer.from(password.normalize('NFKC'));
}
