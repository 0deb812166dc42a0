import type { Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';

/** Sheds calls beyond `most` in flight: better some refused at once than all of them late. */
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
