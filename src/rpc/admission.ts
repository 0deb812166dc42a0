import type { Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';

/** Refuses calls beyond `most` in flight with SERVER_BUSY, so that the calls it admits stay fast. */
export function admission(most: number): Interceptor {
  let inFlight = 0;
  return (next) => async (req) => {
    if (req.stream) return next(req);
    if (inFlight >= most) throw new Refusal('SERVER_BUSY', { retryAfter: 1 });
    inFlight++;
    try {
      return await next(req);
    } finally {
      inFlight--;
    }
  };
}
