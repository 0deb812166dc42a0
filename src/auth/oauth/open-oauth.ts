import type { MasterKeys } from '../../crypto/master-keys.ts';
import type { OAuthDeps } from './deps.ts';
import { OAuthStates } from './oauth-state.ts';
import { Providers, type ProvidersDeps } from './providers.ts';
import { SealedExchanges } from './sealed-exchange.ts';

interface OAuthOptions extends ProvidersDeps, Pick<OAuthDeps, 'finishes' | 'idTokenSignIns'> {
  readonly keys: MasterKeys;
  /** PUBLIC_URL. */
  readonly publicUrl: string;
  /** FRONTEND_URL or, without it, PUBLIC_URL. */
  readonly frontendUrl: string;
}

/** The parts of sign-ins with a provider. */
export function openOAuth(options: OAuthOptions): OAuthDeps {
  const { keys, publicUrl, frontendUrl, finishes, idTokenSignIns, ...deps } = options;
  return {
    providers: new Providers(deps),
    states: new OAuthStates(keys),
    exchanges: new SealedExchanges(keys),
    projects: options.projects,
    callbackUrls: [`${frontendUrl}/oauth/callback`, `${publicUrl}/auth/v1/callback`],
    finishes,
    idTokenSignIns,
  };
}
