import type { Interceptor } from '@connectrpc/connect';

/** The default and the longest timeout of a call, in milliseconds. The transports set it. */
export const longestCall = 30_000;

/** The longest timeout of a stream. No login waits longer for its decision. */
export const longestStream = 86_400_000;

/**
 * Ends a call at its deadline or when its client cancels it, without waiting for the method. The same signal stops the
 * work of the method: its statement is cancelled in the database, and it commits nothing more.
 */
export function deadline(): Interceptor {
  return (next) => async (req) => {
    const { signal } = req;
    if (req.stream) return next(req);
    signal.throwIfAborted();
    const left = Promise.withResolvers<never>();
    const leave = (): void => left.reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([next(req), left.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
  };
}
