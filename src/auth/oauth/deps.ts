import type { Redirects } from '../../text/redirects.ts';
import type { SignInBudget } from '../../throttle/sign-in-budget.ts';
import type { OAuthStates } from './oauth-state.ts';
import type { Providers } from './providers.ts';
import type { SealedExchanges } from './sealed-exchange.ts';

/** What sign-ins with a provider work with. */
export interface OAuthDeps {
  readonly providers: Providers;
  readonly states: OAuthStates;
  readonly exchanges: SealedExchanges;
  /** The places that a sign-in may lead back to. */
  readonly redirects: Pick<Redirects, 'allow'>;
  /** The callbacks of this service. The first one is the default. */
  readonly callbackUrls: readonly string[];
  readonly finishes: SignInBudget;
  readonly idTokenSignIns: SignInBudget;
}
