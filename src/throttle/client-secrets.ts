import type { CallBudgets } from './call-budget.ts';
import { networkOf } from './client-network.ts';
import { type ConfiguredLimits, clientSecretKey } from './configured-limits.ts';
import { requireNoWait } from './wait.ts';

/** Wrong secrets per minute and client address. */
const byDefault = 30;

/** Limits the wrong secrets of OAuth clients that an address tries (RFC 6749, section 2.3.1). */
export class ClientSecrets {
  readonly #budgets: CallBudgets;
  readonly #limit: number | undefined;
  /** The counts of wrong secrets that are not done, by budget. */
  readonly #counting = new Map<string, Promise<number>>();

  constructor(budgets: CallBudgets, limits: ConfiguredLimits) {
    this.#budgets = budgets;
    this.#limit = limits.limitOf(clientSecretKey, byDefault);
  }

  /**
   * Authenticates a client. Throws OVER_REQUEST_RATE_LIMIT, for any secret, once the address has tried too many wrong ones.
   * A wrong secret is counted before the client learns that it is wrong. Right ones cost a look at the count, and wait for no
   * other.
   */
  async try<Client>(address: string, authenticate: () => Client): Promise<Client> {
    const limit = this.#limit;
    if (limit === undefined) return authenticate();
    const key = `oauth client secret ${networkOf(address)}`;
    // Another replica may have counted the last one. A look before the comparison: a right secret is refused like a wrong one.
    requireNoWait(await this.#budgets.peek(key, limit));
    // One after the other, or parallel guesses would all be compared before the first one counts.
    while (this.#counting.has(key)) await this.#counting.get(key);
    requireNoWait(this.#budgets.waitOf(key));
    try {
      return authenticate();
    } catch (error) {
      const counted = this.#budgets.take(key, limit).finally(() => this.#counting.delete(key));
      this.#counting.set(key, counted);
      requireNoWait(await counted);
      throw error;
    }
  }
}
