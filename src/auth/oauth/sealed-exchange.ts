import type { MasterKeys } from '../../crypto/master-keys.ts';
import type { SessionOfCaller } from '../../rpc/context.ts';
import type { ProvedIdentity } from '../../user/identity.ts';

/** What belongs to a code that FinishOAuth hands out. */
export interface KeptForExchange {
  /** The tokens of the provider, if the client wants them. */
  readonly providerTokens?: { readonly accessToken: string; readonly refreshToken: string } | undefined;
  /** The link that the exchange completes, and the session that has started it. */
  readonly link?: { readonly session: SessionOfCaller; readonly proved: ProvedIdentity } | undefined;
}

const purpose = 'exchange after a provider';

/** Encrypts what is kept until a code is exchanged: the tokens of the provider, and what it said of a person. */
export class SealedExchanges {
  readonly #keys: MasterKeys;

  constructor(keys: MasterKeys) {
    this.#keys = keys;
  }

  /** Undefined where there is nothing to keep. */
  seal(userId: string, kept: KeptForExchange): string | undefined {
    if (!kept.providerTokens && !kept.link) return undefined;
    return this.#keys.seal(purpose, userId, Buffer.from(JSON.stringify(kept))).toString('base64');
  }

  open(userId: string, sealed: string | undefined): KeptForExchange {
    if (sealed === undefined) return {};
    return JSON.parse(this.#keys.open(purpose, userId, Buffer.from(sealed, 'base64')).toString()) as KeptForExchange;
  }
}
