import { OAuthError } from './oauth-error.ts';

/** What a client receives here and nobody else may present. */
type TokenUse = 'device code' | 'refresh token';

/** MACs under the installation's secrets. */
export interface Macs {
  mac(purpose: string, data: string): Buffer;
  isMac(purpose: string, data: string, mac: Buffer): boolean;
}

const purpose = 'oauth client';

/**
 * Binds device codes and refresh tokens to the client that received them (RFC 6749, section 5.2; RFC 8628, section 3.4), by
 * a MAC behind the token. The methods know no clients.
 */
export class BoundTokens {
  readonly #keys: Macs;

  constructor(keys: Macs) {
    this.#keys = keys;
  }

  bind(use: TokenUse, clientId: string, token: string): string {
    return `${token}.${this.#keys.mac(purpose, boundTo(use, clientId, token)).toString('base64url')}`;
  }

  /** Throws invalid_grant for a token of another client, and for any other text. */
  open(use: TokenUse, clientId: string, bound: string): string {
    const token = this.openIfOwn(use, clientId, bound);
    if (token === undefined) throw new OAuthError('invalid_grant', `the ${use} is not valid`);
    return token;
  }

  openIfOwn(use: TokenUse, clientId: string, bound: string): string | undefined {
    const at = bound.lastIndexOf('.');
    const [token, mac] = [bound.slice(0, Math.max(at, 0)), Buffer.from(bound.slice(at + 1), 'base64url')];
    const isOwn = mac.length === 32 && this.#keys.isMac(purpose, boundTo(use, clientId, token), mac);
    return isOwn ? token : undefined;
  }
}

function boundTo(use: TokenUse, clientId: string, token: string): string {
  return JSON.stringify([use, clientId, token]);
}
