import type { Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { networkOf } from '../throttle/client-network.ts';
import { limitKey } from '../throttle/configured-limits.ts';
import { kOrigin } from './context.ts';
import { policyOf } from './policy.ts';

/** Takes one call from a budget per minute. Returns the seconds to wait, or 0 when the call may proceed. */
export type Take = (key: string, perMinute: number) => Promise<number>;

/** The calls per minute of a method: the number in LIMITS, or else in the contract. Undefined for no limit. */
export type LimitOf = (key: string, byContract: number) => number | undefined;

/** Limits the calls per minute of each network address to a method. IPv6 addresses are counted by their /64. */
export function rateLimit(take: Take, limitOf: LimitOf): Interceptor {
  return (next) => async (req) => {
    const key = limitKey(req.method);
    const limit = limitOf(key, policyOf(req.method)?.perMinute ?? 0);
    if (limit !== undefined) {
      const wait = await take(`${key} ${networkOf(req.contextValues.get(kOrigin).address)}`, limit);
      if (wait > 0) throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: wait });
    }
    return next(req);
  };
}
