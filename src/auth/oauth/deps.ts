import type { Projects } from '../../project/projects.ts';
import type { SignInBudget } from '../../throttle/sign-in-budget.ts';
import type { OAuthStates } from './oauth-state.ts';
import type { Providers } from './providers.ts';
import type { SealedExchanges } from './sealed-exchange.ts';

/** What sign-ins with a provider work with. */
export interface OAuthDeps {
  readonly providers: Providers;
  readonly states: OAuthStates;
  readonly exchanges: SealedExchanges;
  /** With the places that a sign-in may lead back to. */
  readonly projects: Projects;
  /** The callbacks of this service. The first one is the default. */
  readonly callbackUrls: readonly string[];
  readonly finishes: SignInBudget;
  readonly idTokenSignIns: SignInBudget;
}
