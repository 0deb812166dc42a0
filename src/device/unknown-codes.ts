import type { HandlerContext } from '@connectrpc/connect';
import { callerIfAny, origin, projectOf } from '../rpc/context.ts';
import type { CallBudgets } from '../throttle/call-budget.ts';
import { networkOf } from '../throttle/client-network.ts';
import type { ConfiguredLimits } from '../throttle/configured-limits.ts';
import { requireNoWait } from '../throttle/wait.ts';

/** A kind of code that people type. Methods that read the same kind share their budgets. */
type CodeKind = 'user code' | 'dashboard code';

/** Limits the codes that an address and a user try and that nobody was given. */
export class UnknownCodes {
  readonly #budgets: CallBudgets;
  readonly #limits: ConfiguredLimits;

  constructor(budgets: CallBudgets, limits: ConfiguredLimits) {
    this.#budgets = budgets;
    this.#limits = limits;
  }

  /**
   * Looks a code up. Throws OVER_REQUEST_RATE_LIMIT, for any code, once the client's address or the calling user has tried
   * too many unknown ones.
   *
   * The try is counted before the look-up, so that of parallel tries no more are compared than are admitted. A known code
   * takes its count back.
   */
  async try<Found>(
    context: HandlerContext,
    kind: CodeKind,
    find: () => Promise<Found | undefined>,
  ): Promise<Found | undefined> {
    const limit = this.#limits.of(projectOf(context)).unknownCodes(context.method);
    const keys = limit === undefined ? [] : budgetsOf(context, kind);
    for (const key of keys) {
      requireNoWait(await this.#budgets.take(key, limit!));
    }
    const found = await find();
    if (found) for (const key of keys) this.#budgets.giveBack(key);
    return found;
  }
}

function budgetsOf(context: HandlerContext, kind: CodeKind): string[] {
  const unknown = `unknown ${kind} ${projectOf(context)}`;
  const user = callerIfAny(context);
  return [`${unknown} ${networkOf(origin(context).address)}`, ...(user ? [`${unknown} ${user.userId}`] : [])];
}
