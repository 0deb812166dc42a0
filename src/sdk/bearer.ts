import type { CallOptions } from '@connectrpc/connect';

/**
 * The options of a call made by whoever holds this access token or service key, on top of other options. They may be
 * kept and used for any number of calls.
 */
export function withBearer(token: string, options: CallOptions = {}): CallOptions {
  const headers = new Headers(options.headers);
  headers.set('authorization', `Bearer ${token}`);
  return { ...options, headers };
}
