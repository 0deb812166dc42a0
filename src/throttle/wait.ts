import { Refusal } from '../errors.ts';

/** Throws OVER_REQUEST_RATE_LIMIT while a budget has no calls. */
export function requireNoWait(seconds: number): void {
  if (seconds > 0) throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: seconds });
}
