import { OAuthError } from './oauth-error.ts';

/** What a client receives here and nobody else may present. */
type TokenUse = 'device code' | 'refresh token';

/** Encryption under the installation's secrets. */
export interface Seals {
  seal(purpose: string, about: string, plain: Buffer): Buffer;
  open(purpose: string, about: string, sealed: Buffer): Buffer;
}

const purpose = 'oauth client';

/** Those of the methods, so that a code of another client or tenant is as unknown as any other text. */
const descriptions = {
  'device code': 'Invalid device code',
  'refresh token': 'the refresh token is not valid',
} as const;

/**
 * Binds device codes and refresh tokens to the client that received them (RFC 6749, section 5.2; RFC 8628, section 3.4):
 * they are sealed, so that their holder has nothing that a method or another client accepts. The methods know no clients.
 */
export class BoundTokens {
  readonly #keys: Seals;

  constructor(keys: Seals) {
    this.#keys = keys;
  }

  bind(use: TokenUse, clientId: string, token: string): string {
    return this.#keys.seal(purpose, boundTo(use, clientId), Buffer.from(token)).toString('base64url');
  }

  /** Throws invalid_grant for a token of another client, and for any other text. */
  open(use: TokenUse, clientId: string, bound: string): string {
    const token = this.openIfOwn(use, clientId, bound);
    if (token === undefined) throw new OAuthError('invalid_grant', descriptions[use]);
    return token;
  }

  openIfOwn(use: TokenUse, clientId: string, bound: string): string | undefined {
    try {
      return this.#keys.open(purpose, boundTo(use, clientId), Buffer.from(bound, 'base64url')).toString();
    } catch {
      return undefined;
    }
  }
}

function boundTo(use: TokenUse, clientId: string): string {
  return JSON.stringify([use, clientId]);
}
