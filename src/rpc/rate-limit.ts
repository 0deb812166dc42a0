import type { Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { networkOf } from '../throttle/client-network.ts';
import { limitKey } from '../throttle/configured-limits.ts';
import { kOrigin } from './context.ts';
import { policyOf } from './policy.ts';

/** Takes one call from a budget per minute. Answers with the seconds to wait, 0 when the call may pass. */
export type Take = (key: string, perMinute: number) => Promise<number>;

/** The budget of one method: the contract's number unless the operator set another. Undefined is no limit. */
export type LimitOf = (key: string, byContract: number) => number | undefined;

/** Holds each network address to the method's calls per minute. IPv6 addresses count by their /64. */
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
