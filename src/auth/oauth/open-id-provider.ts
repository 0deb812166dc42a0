import type { Clock } from '../../database/clock.ts';
import type { Refusal } from '../../errors.ts';
import type { ProvedIdentity } from '../../user/identity.ts';
import { clientSecretOf } from './client-secret.ts';
import { type Expected, exactNonce, type IdClaims, invalidIdToken, nonceOfClient, verifyIdToken } from './id-token.ts';
import { type Metadata, ProviderDocuments } from './metadata.ts';
import { identityOf, type ReadsVerified } from './profile.ts';
import {
  type Asking,
  authorizationUrlOf,
  type BroughtIdToken,
  type Claims,
  type Provider,
  type ProviderSettings,
  type Redeemed,
  type Returned,
} from './provider.ts';
import type { Remote } from './remote.ts';
import { providerError, requestTokens } from './token-request.ts';

/** What differs between OpenID providers. */
export interface OpenIdRules {
  readonly label: string;
  /** What the metadata names as the issuer. */
  readonly issuer: string;
  /** Where the metadata is. Default: below the issuer. */
  readonly metadataUrl?: string;
  /** Whether the issuer of an ID token is the provider. Default: the issuer of the metadata. */
  readonly isIssuer?: (claims: Claims) => boolean;
  /** Whether the response of the browser may name this issuer. Default: the issuer of the metadata. */
  readonly isResponseIssuer?: (iss: string) => boolean;
  readonly scopes: readonly string[];
  readonly isVerified: ReadsVerified;
  /** Default: the claim `sub`. */
  readonly subjectOf?: (claims: IdClaims) => string;
  readonly postsCallback?: boolean;
}

interface OpenIdDeps {
  readonly settings: ProviderSettings;
  readonly rules: OpenIdRules;
  readonly remote: Remote;
  readonly allowsPlainText: boolean;
  readonly now: Clock;
}

/** A provider that speaks OpenID Connect. */
export class OpenIdProvider implements Provider {
  readonly name: string;
  readonly label: string;
  readonly postsCallback: boolean;
  readonly #deps: OpenIdDeps;
  readonly #documents: ProviderDocuments;

  constructor(deps: OpenIdDeps) {
    const { settings, rules, remote, allowsPlainText, now } = deps;
    this.#deps = deps;
    this.name = settings.name;
    this.label = settings.label ?? rules.label;
    this.postsCallback = rules.postsCallback ?? false;
    const { issuer, metadataUrl = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration` } = rules;
    this.#documents = new ProviderDocuments({ remote, url: new URL(metadataUrl), issuer, allowsPlainText, now });
  }

  async authorizationUrl(asking: Asking): Promise<URL> {
    const { settings, rules } = this.#deps;
    const { authorizationEndpoint } = await this.#documents.metadata();
    const scopes = [...(settings.scopes ?? rules.scopes), ...asking.scopes];
    const own: Record<string, string> = this.postsCallback ? { response_mode: 'form_post' } : {};
    return authorizationUrlOf(authorizationEndpoint, settings, { ...asking, scopes }, own);
  }

  refusal(error: string): Refusal {
    return providerError(this.#deps.remote, error);
  }

  async redeem(returned: Returned, signal: AbortSignal): Promise<Redeemed> {
    const { settings, rules, remote, now } = this.#deps;
    const metadata = await this.#documents.metadata();
    const secret = await clientSecretOf(settings, { remote, audience: rules.issuer, now: now() });
    const endpoint = {
      issuer: this.#issuerOfResponse(metadata, returned.iss),
      url: metadata.tokenEndpoint,
      clientId: settings.clientId,
      secret,
      isBasic: metadata.usesBasic,
      sendsIssuer: metadata.sendsIssuer,
    };
    const { idToken, ...tokens } = await requestTokens(remote, endpoint, returned, signal);
    if (idToken === '') throw invalidIdToken('missing');
    const { accessToken } = tokens;
    const expected = { isNonce: exactNonce(returned.nonce), clientIds: [settings.clientId], accessToken };
    const claims = await this.#verify(idToken, expected);
    const described = await this.#userInfo(metadata, claims, accessToken, signal);
    return { identity: this.#identityOf(claims, described), ...tokens };
  }

  async readIdToken({ idToken, nonce, accessToken }: BroughtIdToken): Promise<ProvedIdentity> {
    const { clientIds } = this.#deps.settings;
    return this.#identityOf(await this.#verify(idToken, { isNonce: nonceOfClient(nonce), clientIds, accessToken }));
  }

  async #verify(token: string, expected: Pick<Expected, 'isNonce' | 'clientIds' | 'accessToken'>): Promise<IdClaims> {
    const { rules, now } = this.#deps;
    const isIssuer = rules.isIssuer ?? (({ iss }) => iss === rules.issuer);
    return verifyIdToken(token, this.#documents.key, { ...expected, isIssuer, now: now() });
  }

  /** A provider with many issuers may name one of them in the response of the browser. */
  #issuerOfResponse({ issuer }: Metadata, iss: string): string {
    return this.#deps.rules.isResponseIssuer?.(iss) ? iss : issuer;
  }

  /** Many providers have the address in their userinfo only (OpenID Connect Core 1.0, section 5.4). */
  async #userInfo(
    { userInfoEndpoint }: Metadata,
    token: IdClaims,
    accessToken: string,
    signal: AbortSignal,
  ): Promise<Claims | undefined> {
    if (token.email !== undefined || userInfoEndpoint === '') return undefined;
    const headers = { authorization: `Bearer ${accessToken}` };
    const claims = await this.#deps.remote.getObject(new URL(userInfoEndpoint), { headers, signal });
    // Attack: the access token of another user in place of that of this one (section 5.3.2).
    if (claims.sub !== token.sub) throw invalidIdToken('subject');
    // What the ID token says of an address is not about the one that is here.
    return { ...token, email_verified: false, xms_edov: false, ...claims };
  }

  #identityOf(claims: IdClaims, described: Claims = claims): ProvedIdentity {
    const { settings, rules } = this.#deps;
    const subject = rules.subjectOf?.(claims) ?? claims.sub;
    const about = { provider: settings.name, trustsEmail: settings.trustsEmail, isVerified: rules.isVerified };
    return identityOf(about, subject, described);
  }
}
