import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { addressBudget } from '../throttle/address-budget.ts';
import { limitKey } from '../throttle/configured-limits.ts';
import { requireNoWait } from '../throttle/wait.ts';
import { kOrigin, kProject, kSurface } from './context.ts';
import { policyOf } from './policy.ts';

/** Budgets of calls per key and minute. */
export interface Budgets {
  /** Takes one call. Returns the seconds to wait, or 0 when the call may proceed. */
  take(key: string, perMinute: number): Promise<number>;
  /** The seconds until the budget has calls, without taking one. */
  peek(key: string, perMinute: number): Promise<number>;
}

/** The limits of a project. */
interface Limits {
  /** The calls per minute of a method: the number in LIMITS, or else in the contract. Undefined for no limit. */
  limitOf(key: string, byContract: number, surface: string | undefined): number | undefined;
}

/** Returns the same object for projects with the same limits. */
export type LimitsOf = (projectId: string) => Limits;

/** How many times as many calls as may fail an address may make. */
const ceiling = 20;

/**
 * Limits the calls per minute of each network address to a method, in each project that calls name. A call that names none
 * counts in the default project, since its credential is read later.
 */
export function rateLimit(budgets: Budgets, limitsOf: LimitsOf): Interceptor {
  const known = new WeakMap<Limits, KnownLimits>();
  return (next) => async (req) => {
    const surface = req.contextValues.get(kSurface);
    const projectId = req.contextValues.get(kProject);
    const limits = limitsOf(projectId);
    const read = known.get(limits) ?? { native: new Map(), supabase: new Map() };
    known.set(limits, read);
    const found = read[surface ?? 'native'].get(req.method) ?? readLimit(req.method, limits, surface);
    read[surface ?? 'native'].set(req.method, found);
    const { key, limit, hasSuccesses } = found;
    if (limit === undefined) return next(req);
    const { address } = req.contextValues.get(kOrigin);
    const { name: budget } = addressBudget(key, { address, projectId, surface });
    if (hasSuccesses) return limitFailures(budgets, budget, limit, () => next(req));
    requireNoWait(await budgets.take(budget, limit));
    return next(req);
  };
}

/** The limits of methods that were read before. */
type KnownLimits = Readonly<Record<'native' | 'supabase', Map<DescMethod, MethodLimit>>>;

interface MethodLimit {
  readonly key: string;
  readonly limit: number | undefined;
  /** Successful calls do not count. */
  readonly hasSuccesses: boolean;
}

function readLimit(method: DescMethod, limits: Limits, surface: string | undefined): MethodLimit {
  const key = limitKey(method);
  const rules = policyOf(method);
  return {
    key,
    limit: limits.limitOf(key, rules?.perMinute ?? 0, surface),
    hasSuccesses: (rules?.successesPerAccountPerMinute ?? 0) > 0,
  };
}

/**
 * Counts the calls that fail. A failure is counted before its reason is returned, and the reason is returned only if the
 * budget had room: of parallel guesses no more learn a verdict than are admitted. All calls together have a ceiling, or one
 * valid account would buy unlimited hashing.
 */
async function limitFailures<T>(budgets: Budgets, budget: string, limit: number, call: () => Promise<T>): Promise<T> {
  requireNoWait(await budgets.take(`${budget} all`, limit * ceiling));
  requireNoWait(await budgets.peek(budget, limit));
  try {
    return await call();
  } catch (error) {
    const isLimited = error instanceof Refusal && error.reason === 'OVER_REQUEST_RATE_LIMIT';
    if (!isLimited) requireNoWait(await budgets.take(budget, limit));
    throw error;
  }
}
