import type { Interceptor } from '@connectrpc/connect';

/** How long a call may take when its client does not say, and at most, in milliseconds. The transports set it. */
export const longestCall = 30_000;

/**
 * Answers when the deadline has come or the client has gone, whatever the method is doing. The method's own work is cut
 * off by the same signal: its statement is cancelled and it commits nothing more.
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
