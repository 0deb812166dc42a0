import type { CallOptions } from '@connectrpc/connect';

/**
 * The options of a call with this access token or service key, in addition to other options. They can be kept and used
 * for any number of calls.
 */
export function withBearer(token: string, options: CallOptions = {}): CallOptions {
  const headers = new Headers(options.headers);
  headers.set('authorization', `Bearer ${token}`);
  return { ...options, headers };
}
