import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import { type IntrospectResponse, type SessionService, SignOutScope } from '../../../gen/gatehouse/v1/session_pb.ts';
import { type Backend, invalidClient } from './client-authentication.ts';
import { type Asked, required } from './grants.ts';
import { oauthErrorOf, reasonOf } from './oauth-error.ts';

// A refresh token that a client received here has no dots.
const jws = /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/;

/**
 * Revokes the session of a token (RFC 7009): of a refresh token that this client received, or of an access token. The
 * response is the same for any other text.
 */
export async function revokeToken({ form, clientId, sessions, tokens }: Asked): Promise<undefined> {
  const token = required(form, 'token');
  if (jws.test(token)) {
    const scope = SignOutScope.LOCAL;
    await sessions.signOut({ scope }, { headers: { authorization: `Bearer ${token}` } }).catch(unlessUnavailable);
    return;
  }
  const refreshToken = tokens.openIfOwn('refresh token', clientId, token);
  if (refreshToken !== undefined) await sessions.signOut({ refreshToken });
}

/** An access token that is not valid needs no revocation (RFC 7009, section 2.2). */
function unlessUnavailable(thrown: unknown): void {
  if (oauthErrorOf(thrown).code !== 'invalid_grant') throw thrown;
}

const refusedCallers = new Set(['AUTHENTICATION_REQUIRED', 'TOKEN_INVALID', 'CALLER_NOT_ALLOWED', 'API_KEY_INVALID']);

interface Introspection {
  readonly form: URLSearchParams;
  readonly sessions: Client<typeof SessionService>;
  readonly backend: Backend;
  readonly issuer: string;
}

/** The state of a token (RFC 7662), for a backend that may call Introspect. */
export async function introspectToken({ form, sessions, backend, issuer }: Introspection): Promise<object> {
  const headers = { authorization: `Bearer ${backend.secret ?? ''}` };
  try {
    const found = await sessions.introspect({ token: required(form, 'token') }, { headers });
    return found.active ? describe(found, issuer) : { active: false };
  } catch (thrown) {
    throw refusedCallers.has(reasonOf(thrown) ?? '') ? invalidClient(backend.scheme) : thrown;
  }
}

function describe(found: IntrospectResponse, issuer: string): object {
  const { userId, email, scopes, expireTime, issueTime } = found;
  return {
    active: true,
    sub: userId,
    iss: issuer,
    token_type: 'Bearer',
    ...(email && { username: email }),
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    ...(expireTime && { exp: secondsOf(timestampDate(expireTime)) }),
    ...(issueTime && { iat: secondsOf(timestampDate(issueTime)) }),
  };
}

function secondsOf(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}
