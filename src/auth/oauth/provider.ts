import type { Refusal } from '../../errors.ts';
import type { ProvedIdentity } from '../../user/identity.ts';

/** One member of OAUTH_PROVIDERS. */
export interface ProviderSettings {
  readonly name: string;
  readonly clientId: string;
  /** The client ids whose ID tokens are accepted: `clientId` and those of other programs. */
  readonly clientIds: readonly string[];
  readonly clientSecret?: string | undefined;
  /** What Apple has in place of a secret. */
  readonly signer?: Signer | undefined;
  readonly label?: string | undefined;
  readonly issuer?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
  /** Whether an address counts as verified because the provider says so. */
  readonly trustsEmail: boolean;
  readonly endpoints?: Endpoints | undefined;
  readonly tenant?: string | undefined;
  readonly allowedTenants?: readonly string[] | undefined;
}

export interface Signer {
  readonly teamId: string;
  readonly keyId: string;
  /** PEM. */
  readonly privateKey: string;
}

/** Of a provider that publishes no metadata. */
export interface Endpoints {
  readonly authorization: string;
  readonly token: string;
  readonly user: string;
  readonly emails?: string | undefined;
}

/** What a sign-in asks of a provider. */
export interface Asking {
  readonly state: string;
  readonly nonce: string;
  readonly codeChallenge: string;
  readonly callbackUrl: string;
  readonly scopes: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly value: string }[];
}

/** What the provider sent back by the browser, and what the service has kept. */
export interface Returned {
  readonly state: string;
  readonly code: string;
  /** Empty if the provider sent none (RFC 9207). */
  readonly iss: string;
  readonly callbackUrl: string;
  readonly verifier: string;
  readonly nonce: string;
}

/** What a code was redeemed for. */
export interface Redeemed {
  readonly identity: ProvedIdentity;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** An ID token that a client brings. */
export interface BroughtIdToken {
  readonly idToken: string;
  /** Empty if the client sends none. */
  readonly nonce: string;
  /** Empty if the client sends none. */
  readonly accessToken: string;
}

/** A provider that users sign in with. Its methods throw OAUTH_PROVIDER_UNAVAILABLE. */
export interface Provider {
  readonly name: string;
  readonly label: string;
  /** Whether it sends the browser back with a POST. */
  readonly postsCallback: boolean;
  authorizationUrl(asking: Asking, signal: AbortSignal): Promise<URL>;
  /** The refusal for an error that the provider has sent by the browser. */
  refusal(error: string): Refusal;
  /** Throws OAUTH_PROVIDER_ERROR and ID_TOKEN_INVALID. */
  redeem(returned: Returned, signal: AbortSignal): Promise<Redeemed>;
  /** Absent where the provider has no ID tokens. Throws ID_TOKEN_INVALID. */
  readIdToken?(brought: BroughtIdToken, signal: AbortSignal): Promise<ProvedIdentity>;
}

export type Claims = Readonly<Record<string, unknown>>;

export function authorizationUrlOf(
  endpoint: string,
  { clientId }: Pick<ProviderSettings, 'clientId'>,
  { state, nonce, codeChallenge, callbackUrl, scopes, parameters }: Asking,
  own: Readonly<Record<string, string>>,
): URL {
  const url = new URL(endpoint);
  // Those of the client first: none of them may replace one of ours.
  for (const { name, value } of parameters) url.searchParams.set(name, value);
  const ours = {
    ...{ client_id: clientId, redirect_uri: callbackUrl, response_type: 'code', scope: [...new Set(scopes)].join(' ') },
    ...{ state, nonce, code_challenge: codeChallenge, code_challenge_method: 'S256' },
    ...own,
  };
  for (const [name, value] of Object.entries(ours)) url.searchParams.set(name, value);
  return url;
}
