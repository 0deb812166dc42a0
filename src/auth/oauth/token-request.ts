import * as oauth from 'oauth4webapi';
import { Refusal } from '../../errors.ts';
import { invalidIdToken } from './id-token.ts';
import type { Claims, Returned } from './provider.ts';
import type { Remote } from './remote.ts';

/** The token endpoint of a provider. */
export interface TokenEndpoint {
  readonly issuer: string;
  readonly url: string;
  readonly clientId: string;
  /** Empty for a public client. */
  readonly secret: string;
  /** Whether the secret is sent in the Authorization header instead of the body. */
  readonly isBasic: boolean;
  /** Whether every response of the provider has the parameter `iss`. */
  readonly sendsIssuer: boolean;
}

/** What a token endpoint returned. */
export interface TokenResponse {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Empty for a provider without OpenID Connect. */
  readonly idToken: string;
}

/**
 * Redeems a code, with the verifier of PKCE. Throws ID_TOKEN_INVALID when the response of the browser came from another
 * provider than the one that was asked (RFC 9207), OAUTH_PROVIDER_ERROR when the provider does not accept the code.
 */
export async function requestTokens(
  remote: Remote,
  { issuer, url, clientId, secret, isBasic, sendsIssuer }: TokenEndpoint,
  { state, code, iss, callbackUrl, verifier }: Returned,
  signal: AbortSignal,
): Promise<TokenResponse> {
  const server = { issuer, token_endpoint: url, authorization_response_iss_parameter_supported: sendsIssuer };
  const client = { client_id: clientId };
  const response = new URLSearchParams({ state, code, ...(iss && { iss }) });
  const validated = validate(() => oauth.validateAuthResponse(server, client, response, state));
  const authentication = isBasic ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
  const sent = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    secret === '' ? oauth.None() : authentication,
    validated,
    callbackUrl,
    verifier,
    {
      // Whether a request may go without TLS is decided where it is sent.
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: (to, { body, headers, method }) =>
        remote.send(new URL(to), { method, headers, body: body.toString(), signal }),
    },
  );
  return readTokens(remote, sent);
}

function validate(check: () => URLSearchParams): URLSearchParams {
  try {
    return check();
  } catch (thrown) {
    throw invalidIdToken('response_issuer', thrown);
  }
}

async function readTokens(remote: Remote, response: Response): Promise<TokenResponse> {
  if (response.status >= 500 || (response.status >= 300 && response.status < 400) || response.status === 429)
    throw remote.unavailable(`status ${response.status}`);
  const json = await remote.readJson(response);
  const tokens: Claims = typeof json === 'object' && json !== null ? { ...json } : {};
  // GitHub returns errors with the status 200.
  if (typeof tokens.error === 'string') throw providerError(remote, tokens.error);
  const { access_token: accessToken, refresh_token: refreshToken, id_token: idToken } = tokens;
  if (response.status !== 200 || typeof accessToken !== 'string' || accessToken === '')
    throw remote.unavailable('no access token');
  return { accessToken, refreshToken: textOr(refreshToken), idToken: textOr(idToken) };
}

function textOr(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** An error that the provider names. A code that is not one of OAuth is not repeated: it could be anything. */
export function providerError(remote: Remote, error: string): Refusal {
  const named = /^[a-z_]{1,40}$/.test(error) ? error : 'other';
  // The configuration is wrong, not the user.
  if (/^(invalid_client|unauthorized_client|incorrect_client_credentials|redirect_uri_mismatch)$/.test(named))
    remote.note(named);
  const event = { action: 'auth.login_failed', cause: `provider_${named}` } as const;
  return new Refusal('OAUTH_PROVIDER_ERROR', { metadata: { provider: remote.provider, error: named }, event });
}
