import { Refusal } from '../errors.ts';
import { HashGate } from './hash-gate.ts';
import { markImported, matchesImported, readImported, readMarked } from './imported-hash.ts';
import {
  type Derive,
  fastestDerive,
  type HashCost,
  hashWith,
  isOutdated,
  isReadable,
  type Pepper,
  saltAfter,
  verifyWith,
} from './password-hash.ts';
import { weaknessesOf } from './password-strength.ts';

export interface PasswordRules {
  /** Code points a new password must have at least. */
  readonly minLength: number;
  readonly cost: HashCost;
  readonly pepper?: Pepper | undefined;
  /** Hashes at a time. */
  readonly hashConcurrency: number;
  /** Callers that may wait for their turn. */
  readonly hashQueue: number;
}

/** Runs a hash whose turn has come: for who times or traces it. */
export type AroundHash = <T>(hash: () => Promise<T>) => Promise<T>;

/**
 * Makes and checks password hashes, a few at a time.
 *
 * Passwords are normalised to NFKC first (SP 800-63B-4 section 3.1.1.2), so that one that was typed on another keyboard
 * is the same password, and nothing else is done to them: no trimming, no truncation.
 */
export class Passwords {
  readonly #rules: PasswordRules;
  readonly #derive: Derive;
  readonly #gate: HashGate;
  readonly #decoy: string;
  readonly #around: AroundHash;

  private constructor(rules: PasswordRules, derive: Derive, decoy: string, around: AroundHash) {
    this.#rules = rules;
    this.#derive = derive;
    this.#gate = new HashGate(rules.hashConcurrency, rules.hashQueue);
    this.#decoy = decoy;
    this.#around = around;
  }

  static async open(rules: PasswordRules, around: AroundHash = (hash) => hash()): Promise<Passwords> {
    const derive = await fastestDerive();
    const decoy = await hashWith(derive, bytesOf('no user has this password'), rules.cost, rules.pepper);
    return new Passwords(rules, derive, decoy, around);
  }

  /** How many hashes run, how many wait for their turn, and how many may. */
  get load() {
    return this.#gate.load;
  }

  /** Throws OVER_CAPACITY when a password could not be checked now. */
  requireRoom(): void {
    this.#gate.requireRoom();
  }

  /** Hashes a new password. Throws WEAK_PASSWORD with all the reasons, or OVER_CAPACITY. */
  async hashNew(password: string, context: readonly string[], signal: AbortSignal): Promise<string> {
    const reasons = await weaknessesOf(password, this.#rules.minLength, context);
    if (reasons.length > 0)
      throw new Refusal('WEAK_PASSWORD', {
        metadata: { reasons: reasons.join(','), min_length: `${this.#rules.minLength}` },
      });
    return this.hash(password, signal);
  }

  hash(password: string, signal: AbortSignal): Promise<string> {
    const { cost, pepper } = this.#rules;
    return this.#inTurn(() => hashWith(this.#derive, bytesOf(password), cost, pepper), signal);
  }

  /** Hashes a password that has just matched `stored` at today's cost. */
  rehash(stored: string, password: string, signal: AbortSignal): Promise<string> {
    const { cost, pepper } = this.#rules;
    return this.#inTurn(() => hashWith(this.#derive, bytesOf(password), cost, pepper, saltAfter(stored)), signal);
  }

  /**
   * Checks a password. Without a stored hash that can be read a decoy is checked, so that an unknown address takes as
   * long as a wrong password: either way exactly one hash at the current cost. A hash that another system made costs what
   * it costs, until the first sign-in has made it anew.
   */
  async matches(stored: string | null | undefined, password: string, signal: AbortSignal): Promise<boolean> {
    const { pepper } = this.#rules;
    const imported = stored ? readMarked(stored) : undefined;
    if (imported && 'check' in imported) return this.#inTurn(() => matchesImported(imported.check, password), signal);
    const against = stored && isReadable(stored, pepper) ? stored : this.#decoy;
    const good = await this.#inTurn(() => verifyWith(this.#derive, against, bytesOf(password), pepper), signal);
    return good && against === stored;
  }

  /** Takes the hash of another system over. Throws HASH_NOT_SUPPORTED with the reason. */
  takeOver(hash: string): string {
    const read = readImported(hash);
    if ('why' in read) throw new Refusal('HASH_NOT_SUPPORTED', { metadata: { why: read.why } });
    return markImported(hash);
  }

  #inTurn<T>(hash: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#gate.pass(() => this.#around(hash), signal);
  }

  /** Whether a hash should be made anew, now that the password is at hand. */
  isOutdated(stored: string): boolean {
    return isOutdated(stored, this.#rules.cost, this.#rules.pepper);
  }
}

function bytesOf(password: string): Buffer {
  return Buffer.from(password.normalize('NFKC'));
}
