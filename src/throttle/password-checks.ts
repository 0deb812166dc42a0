import type { CallBudgets } from './call-budget.ts';
import { requireNoWait } from './wait.ts';

/**
 * Limits how often a signed-in user's own password is checked in a minute, over all methods and sessions: a stolen access
 * token must not allow more attempts by switching between them.
 */
export class PasswordChecks {
  readonly #budgets: CallBudgets;
  readonly #perMinute: number | undefined;

  constructor(budgets: CallBudgets, perMinute: number | undefined) {
    this.#budgets = budgets;
    this.#perMinute = perMinute;
  }

  /** Counts one check. Throws OVER_REQUEST_RATE_LIMIT when the minute has none left. */
  async count(userId: string): Promise<void> {
    if (this.#perMinute === undefined) return;
    requireNoWait(await this.#budgets.take(`password checks ${userId}`, this.#perMinute));
  }
}
