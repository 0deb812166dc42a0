import type { MasterKeys } from '../../crypto/master-keys.ts';
import { type RedirectRules, Redirects } from '../../text/redirects.ts';
import type { OAuthDeps } from './deps.ts';
import { OAuthStates } from './oauth-state.ts';
import { Providers, type ProvidersDeps } from './providers.ts';

interface OAuthOptions extends ProvidersDeps, Pick<OAuthDeps, 'finishes' | 'idTokenSignIns'> {
  readonly keys: MasterKeys;
  readonly redirects: RedirectRules;
  /** PUBLIC_URL. */
  readonly publicUrl: string;
}

/** The parts of sign-ins with a provider. */
export function openOAuth({ keys, redirects, publicUrl, finishes, idTokenSignIns, ...deps }: OAuthOptions): OAuthDeps {
  return {
    providers: new Providers(deps),
    states: new OAuthStates(keys),
    redirects: new Redirects(redirects),
    callbackUrls: [`${publicUrl}/oauth/callback`, `${publicUrl}/auth/v1/callback`],
    finishes,
    idTokenSignIns,
  };
}
