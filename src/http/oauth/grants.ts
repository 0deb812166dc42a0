import type { Client } from '@connectrpc/connect';
import { DeviceCredential } from '../../../gen/gatehouse/v1/device_grant_pb.ts';
import type { DeviceService } from '../../../gen/gatehouse/v1/device_pb.ts';
import type { SessionService, Tokens } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { BoundTokens } from './bound-token.ts';
import { OAuthError, oauthErrorOf, reasonOf } from './oauth-error.ts';

export const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';

/** One request of an authenticated client. */
export interface Asked {
  readonly form: URLSearchParams;
  readonly clientId: string;
  readonly devices: Client<typeof DeviceService>;
  readonly sessions: Client<typeof SessionService>;
  readonly tokens: BoundTokens;
}

/** Scopes of OpenID Connect that libraries ask for without being asked. A session has no scopes, so they change nothing. */
const ignoredScopes = new Set(['openid', 'profile', 'email', 'offline_access']);

/** A device authorization request (RFC 8628, section 3.1). */
export async function authorizeDevice({ form, clientId, devices, tokens }: Asked): Promise<object> {
  requireNoScopes(form);
  const started = await devices.requestDeviceCode({ clientName: clientId, credential: DeviceCredential.SESSION });
  return {
    device_code: tokens.bind('device code', clientId, started.deviceCode),
    user_code: started.userCode,
    verification_uri: started.verificationUri,
    verification_uri_complete: started.verificationUriComplete,
    expires_in: Number(started.expiresIn!.seconds),
    interval: Number(started.interval!.seconds),
  };
}

const grants = new Map<string, (asked: Asked) => Promise<object>>([
  [deviceGrant, redeemDeviceCode],
  ['refresh_token', refresh],
]);

export const grantTypes = [...grants.keys()];

/** A token request (RFC 8628, section 3.4; RFC 6749, section 6). */
export function issueTokens(asked: Asked): Promise<object> {
  const grant = grants.get(required(asked.form, 'grant_type'));
  if (!grant) throw new OAuthError('unsupported_grant_type', `grant_type has to be one of ${grantTypes.join(', ')}`);
  return grant(asked);
}

async function redeemDeviceCode({ form, clientId, devices, tokens }: Asked): Promise<object> {
  const deviceCode = tokens.open('device code', clientId, required(form, 'device_code'));
  try {
    const polled = await devices.pollDeviceToken({ deviceCode, clientNonce: form.get('client_nonce') ?? '' });
    return tokenResponse(tokens, clientId, polled.tokens!);
  } catch (thrown) {
    // To a device that polls, every other error is the end.
    if (reasonOf(thrown) !== 'OVER_REQUEST_RATE_LIMIT') throw thrown;
    const { message, headers } = oauthErrorOf(thrown);
    throw new OAuthError('slow_down', message, { headers });
  }
}

async function refresh({ form, clientId, sessions, tokens }: Asked): Promise<object> {
  requireNoScopes(form);
  const refreshToken = tokens.open('refresh token', clientId, required(form, 'refresh_token'));
  const refreshed = await sessions.refresh({ refreshToken });
  return tokenResponse(tokens, clientId, refreshed.tokens!);
}

function tokenResponse(bound: BoundTokens, clientId: string, { accessToken, refreshToken, expiresIn }: Tokens): object {
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: Number(expiresIn!.seconds),
    refresh_token: bound.bind('refresh token', clientId, refreshToken),
  };
}

function requireNoScopes(form: URLSearchParams): void {
  const scopes = form.get('scope')?.split(' ').filter(Boolean) ?? [];
  if (scopes.some((each) => !ignoredScopes.has(each)))
    throw new OAuthError('invalid_scope', 'sessions of devices have no scopes');
}

/** Throws invalid_request for a parameter that is absent or empty, which is the same (RFC 6749, section 3.2). */
export function required(form: URLSearchParams, name: string): string {
  const value = form.get(name);
  if (!value) throw new OAuthError('invalid_request', `${name} is missing`);
  return value;
}
