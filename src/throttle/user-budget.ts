import type { CallBudgets } from './call-budget.ts';
import { requireNoWait } from './wait.ts';

/**
 * Limits how often a user does something in a minute, over all methods and sessions: a stolen access token must not allow more
 * attempts by switching between them.
 */
export class UserBudget {
  readonly #what: string;
  readonly #budgets: CallBudgets;
  readonly #perMinute: number | undefined;

  /** `what` names the budget. `perMinute` undefined is no limit. */
  constructor(what: string, budgets: CallBudgets, perMinute: number | undefined) {
    this.#what = what;
    this.#budgets = budgets;
    this.#perMinute = perMinute;
  }

  /** Counts one time. Throws OVER_REQUEST_RATE_LIMIT when the minute has none left. */
  async count(userId: string): Promise<void> {
    if (this.#perMinute === undefined) return;
    requireNoWait(await this.#budgets.take(`${this.#what} ${userId}`, this.#perMinute));
  }
}
