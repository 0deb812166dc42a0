import type { MasterKeys } from '../crypto/master-keys.ts';
import type { CallBudgets } from './call-budget.ts';
import { requireNoWait } from './wait.ts';

export interface SignInLimits {
  /** Failed calls per minute and client address. */
  readonly failures: number | undefined;
  /** Sign-ins per minute, client address and account. */
  readonly successes: number | undefined;
}

/** Names the budget of a client's address. */
type NameBudget = (address: string) => string;

/**
 * Limits how often one account is signed in from one client address. An office behind one address shares the budget of
 * failures, not that of successes. The budget of failures is counted around the method (rpc/rate-limit.ts).
 */
export class SignInBudget {
  readonly #budgets: CallBudgets;
  readonly #keys: MasterKeys;
  readonly #nameOf: NameBudget;
  readonly #limits: SignInLimits;

  constructor(budgets: CallBudgets, keys: MasterKeys, nameOf: NameBudget, limits: SignInLimits) {
    this.#budgets = budgets;
    this.#keys = keys;
    this.#nameOf = nameOf;
    this.#limits = limits;
  }

  /**
   * Runs a sign-in. Throws OVER_REQUEST_RATE_LIMIT, before the credential is checked, when the account has been signed in
   * too often from this address. One that fails is not counted. The subject is what the client names: an address, which
   * need not be registered, or the id in a token.
   */
  async run<T>(address: string, subject: string, signIn: () => Promise<T>): Promise<T> {
    const { successes } = this.#limits;
    if (successes === undefined) return signIn();
    const key = `${this.#nameOf(address)} ${this.#keys.mac('sign-in budget', subject).toString('base64url')}`;
    requireNoWait(await this.#budgets.take(key, successes));
    try {
      return await signIn();
    } catch (error) {
      this.#budgets.giveBack(key);
      throw error;
    }
  }

  /** The counter of failures of a client's address, which must have room when a session is opened. */
  failuresAt(address: string): { readonly key: string; readonly limit: number } | undefined {
    const { failures: limit } = this.#limits;
    return limit === undefined ? undefined : { key: this.#nameOf(address), limit };
  }
}
