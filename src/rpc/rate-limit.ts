import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { networkOf } from '../throttle/client-network.ts';
import { limitKey } from '../throttle/configured-limits.ts';
import { requireNoWait } from '../throttle/wait.ts';
import { kOrigin, kSurface } from './context.ts';
import { policyOf } from './policy.ts';

/** Budgets of calls per key and minute. */
export interface Budgets {
  /** Takes one call. Returns the seconds to wait, or 0 when the call may proceed. */
  take(key: string, perMinute: number): Promise<number>;
  /** The seconds until the budget has calls, without taking one. */
  peek(key: string, perMinute: number): Promise<number>;
}

/** The calls per minute of a method: the number in LIMITS, or else in the contract. Undefined for no limit. */
export type LimitOf = (key: string, byContract: number, surface: string | undefined) => number | undefined;

/** How many times as many calls as may fail an address may make. */
const ceiling = 20;

/** Limits the calls per minute of each network address to a method. IPv6 addresses are counted by their /64. */
export function rateLimit(budgets: Budgets, limitOf: LimitOf): Interceptor {
  const known = { native: new Map<DescMethod, MethodLimit>(), supabase: new Map<DescMethod, MethodLimit>() };
  return (next) => async (req) => {
    const surface = req.contextValues.get(kSurface);
    const limits = known[surface ?? 'native'];
    const found = limits.get(req.method) ?? readLimit(req.method, limitOf, surface);
    limits.set(req.method, found);
    const { key, limit, hasSuccesses } = found;
    if (limit === undefined) return next(req);
    const budget = addressBudget(key, req.contextValues.get(kOrigin).address);
    if (hasSuccesses) return limitFailures(budgets, budget, limit, () => next(req));
    requireNoWait(await budgets.take(budget, limit));
    return next(req);
  };
}

interface MethodLimit {
  /** Names the method and the surface that it was called through. */
  readonly key: string;
  readonly limit: number | undefined;
  /** Successful calls do not count. */
  readonly hasSuccesses: boolean;
}

// The contract and LIMITS do not change while the process runs.
function readLimit(method: DescMethod, limitOf: LimitOf, surface: string | undefined): MethodLimit {
  const key = limitKey(method);
  const rules = policyOf(method);
  return {
    key: surface ? `${surface} ${key}` : key,
    limit: limitOf(key, rules?.perMinute ?? 0, surface),
    hasSuccesses: (rules?.successesPerAccountPerMinute ?? 0) > 0,
  };
}

/** The key of the budget of a client's address. `method` is a key of LIMITS. */
export function addressBudget(method: string, address: string): string {
  return `${method} ${networkOf(address)}`;
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
