import type { Refusal } from '../../errors.ts';
import { byBoolean, identityOf } from './profile.ts';
import type { Asking, Claims, Endpoints, Provider, ProviderSettings, Redeemed, Returned } from './provider.ts';
import { authorizationUrlOf } from './provider.ts';
import type { Remote } from './remote.ts';
import { providerError, requestTokens } from './token-request.ts';

/** A user as the API of a provider describes them. */
export interface ApiUser {
  readonly subject: unknown;
  /** Named as OpenID Connect names them. */
  readonly claims: Claims;
}

/** What differs between providers that speak OAuth 2.0 only. */
export interface PlainRules {
  readonly label: string;
  readonly endpoints: Endpoints;
  readonly scopes: readonly string[];
  /** Whether the secret is sent in the Authorization header. */
  readonly usesBasic?: boolean;
  /** Reads the responses of `endpoints.user` and, where there is one, of `endpoints.emails`. */
  readonly read: (user: Claims, emails: unknown) => ApiUser;
}

interface PlainDeps {
  readonly settings: ProviderSettings;
  readonly rules: PlainRules;
  readonly remote: Remote;
}

/** A provider that speaks OAuth 2.0 only: who the user is, its own API says. */
export class PlainProvider implements Provider {
  readonly name: string;
  readonly label: string;
  readonly postsCallback = false;
  readonly #deps: PlainDeps;
  readonly #endpoints: Endpoints;

  constructor(deps: PlainDeps) {
    this.#deps = deps;
    this.name = deps.settings.name;
    this.label = deps.settings.label ?? deps.rules.label;
    this.#endpoints = deps.settings.endpoints ?? deps.rules.endpoints;
  }

  async authorizationUrl(asking: Asking): Promise<URL> {
    const { settings, rules } = this.#deps;
    const scopes = [...(settings.scopes ?? rules.scopes), ...asking.scopes];
    return authorizationUrlOf(this.#endpoints.authorization, settings, { ...asking, scopes }, {});
  }

  refusal(error: string): Refusal {
    return providerError(this.#deps.remote, error);
  }

  async redeem(returned: Returned, signal: AbortSignal): Promise<Redeemed> {
    const { settings, rules, remote } = this.#deps;
    const endpoint = {
      // Without metadata the provider has no issuer: a response that names one is that of another provider.
      issuer: this.#endpoints.authorization,
      url: this.#endpoints.token,
      clientId: settings.clientId,
      secret: settings.clientSecret ?? '',
      isBasic: rules.usesBasic ?? false,
      sendsIssuer: false,
    };
    const { idToken: _, ...tokens } = await requestTokens(remote, endpoint, returned, signal);
    return { identity: await this.#identityOf(tokens.accessToken, signal), ...tokens };
  }

  async #identityOf(accessToken: string, signal: AbortSignal) {
    const { settings, rules, remote } = this.#deps;
    // GitHub requires a user agent.
    const headers = { authorization: `Bearer ${accessToken}`, 'user-agent': 'gatehouse' };
    const user = await remote.getObject(new URL(this.#endpoints.user), { headers, signal });
    const { emails } = this.#endpoints;
    const listed = emails && (await remote.getJson(new URL(emails), { headers, signal }));
    const { subject, claims } = rules.read(user, listed);
    const id = typeof subject === 'number' && Number.isSafeInteger(subject) ? String(subject) : subject;
    if (typeof id !== 'string' || id === '' || id.length > 200) throw remote.unavailable('a user without an id');
    const about = { provider: settings.name, trustsEmail: settings.trustsEmail, isVerified: byBoolean };
    return identityOf(about, id, claims);
  }
}
