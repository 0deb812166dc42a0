import type { MasterKeys } from '../crypto/master-keys.ts';
import type { AddressBudget, Client } from './address-budget.ts';
import type { CallBudgets } from './call-budget.ts';
import { requireNoWait } from './wait.ts';

export interface SignInLimits {
  /** Failed calls per minute and client address. */
  readonly failures: number | undefined;
  /** Sign-ins per minute, client address and account. */
  readonly successes: number | undefined;
}

/** The budget of a client's address, and the limits of the project. */
type RulesFor = (client: Client) => SignInLimits & { readonly budget: AddressBudget };

/**
 * Limits how often one account is signed in from one client address. An office behind one address shares the budget of
 * failures, not that of successes. The budget of failures is counted around the method (rpc/rate-limit.ts).
 */
export class SignInBudget {
  readonly #budgets: CallBudgets;
  readonly #keys: MasterKeys;
  readonly #rulesFor: RulesFor;

  constructor(budgets: CallBudgets, keys: MasterKeys, rulesFor: RulesFor) {
    this.#budgets = budgets;
    this.#keys = keys;
    this.#rulesFor = rulesFor;
  }

  /**
   * Runs a sign-in. Throws OVER_REQUEST_RATE_LIMIT, before the credential is checked, when the account has been signed in
   * too often from this address. One that fails is not counted. The subject is what the client names: an address, which
   * need not be registered, or the id in a token.
   */
  async run<T>(client: Client, subject: string, signIn: () => Promise<T>): Promise<T> {
    const { successes, budget } = this.#rulesFor(client);
    if (successes === undefined) return signIn();
    const key = `${budget.name} ${this.#keys.mac('sign-in budget', subject).toString('base64url')}`;
    requireNoWait(await this.#budgets.take(key, successes));
    try {
      return await signIn();
    } catch (error) {
      this.#budgets.giveBack(key);
      throw error;
    }
  }

  /** The counter of failures of a client's address, which must have room when a session is opened. */
  failuresAt(client: Client): { readonly key: string; readonly limit: number } | undefined {
    const { failures: limit, budget } = this.#rulesFor(client);
    return limit === undefined ? undefined : { key: budget.key, limit };
  }
}
