import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AuthError } from './auth-error.ts';
import type { Route } from './route.ts';

const digestOf = (text: string) => createHash('sha256').update(text).digest();

/**
 * Requires the `apikey` header of supabase-js, where keys are configured. They are public, like the pages that contain
 * them, and give no rights. A backend sends its own key, which the methods check, as its bearer token too.
 */
export class ApiKeys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digestOf);
  }

  /** Throws no_authorization. */
  require({ headers }: IncomingMessage, route: Route): void {
    if (this.#digests.length === 0 || route.isOpen) return;
    const [key = ''] = [headers.apikey].flat();
    const isOfBackend = route.name === 'administer users' && headers.authorization === `Bearer ${key}`;
    const digest = digestOf(key);
    if (isOfBackend || this.#digests.some((each) => timingSafeEqual(each, digest))) return;
    throw new AuthError(401, 'no_authorization', key ? 'Invalid API key' : 'No API key found in request');
  }
}
