import type { IncomingMessage } from 'node:http';
import { Refusal } from '../../errors.ts';
import { largestRequest } from '../limits.ts';
import { readBody } from '../request-body.ts';

/**
 * Throws CALLER_NOT_ALLOWED unless one of these pages sent the form.
 *
 * There is no cookie and no form token. The one-time value in the form is all of its power, and another page that knows
 * the value needs nobody else's browser. The check only keeps other pages from acting from a reader's address. Browsers
 * without Sec-Fetch-Site send the origin.
 */
export function requireOwnPage({ headers }: IncomingMessage, ownOrigin: string): void {
  const site = headers['sec-fetch-site'];
  const isOwn = site === undefined ? headers.origin === ownOrigin : site === 'same-origin';
  if (!isOwn) throw new Refusal('CALLER_NOT_ALLOWED');
}

/** Throws ENCODING_NOT_SUPPORTED and REQUEST_TOO_LARGE. */
export async function readForm(req: IncomingMessage): Promise<URLSearchParams> {
  const [type] = (req.headers['content-type'] ?? '').toLowerCase().split(';', 1);
  if (type?.trim() !== 'application/x-www-form-urlencoded' || req.headers['content-encoding'] !== undefined)
    throw new Refusal('ENCODING_NOT_SUPPORTED');
  return new URLSearchParams((await readBody(req, largestRequest)).toString());
}
