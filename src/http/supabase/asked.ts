import type { IncomingMessage } from 'node:http';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CallOptions, Client } from '@connectrpc/connect';
import type { AdminService } from '../../../gen/gatehouse/v1/admin_pb.ts';
import type { AuthService, SiteLinkSchema } from '../../../gen/gatehouse/v1/auth_pb.ts';
import type { MfaService } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import { CodeChallengeMethod } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import type { SessionService } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { Redirects } from '../../text/redirects.ts';
import type { Cookies } from '../pages/cookies.ts';
import { AuthError, invalid } from './auth-error.ts';
import type { JsonBody } from './json-body.ts';

/** A request to a route, and the methods that serve it. */
export interface Asked {
  readonly headers: IncomingMessage['headers'];
  /** The parameters in the path, by name. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: JsonBody;
  readonly auth: Client<typeof AuthService>;
  readonly sessions: Client<typeof SessionService>;
  readonly mfa: Client<typeof MfaService>;
  readonly admin: Client<typeof AdminService>;
  readonly redirects: Redirects;
  /** PUBLIC_URL with the path of the surface. */
  readonly issuer: string;
  /** Those that bind a sign-in with a provider to its browser. No route takes a credential from a cookie. */
  readonly cookies: Cookies;
  readonly now: () => Date;
}

/** What a route returns. */
export interface Answer {
  /** Default: 200, or 204 without a body. */
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The reason that no method has, for a request without a bearer token that could be one. */
const noBearer = () => new AuthError(401, 'no_authorization', 'This endpoint requires a valid Bearer token');

/**
 * The call options with the bearer token of the request. Only routes that need a user or a backend pass it on: the published
 * clients send the key of the project as a bearer token to every route, where there is no session.
 */
export function withBearer({ headers }: Pick<Asked, 'headers'>): CallOptions & { headers: { authorization: string } } {
  const { authorization = '' } = headers;
  if (!/^Bearer [\x21-\x7e]+$/i.test(authorization)) throw noBearer();
  return { headers: { authorization } };
}

/** The call options with an access token that a method has just returned. */
export function withToken(accessToken: string): CallOptions {
  return { headers: { authorization: `Bearer ${accessToken}` } };
}

/** Where the client wants to be led back to, as far as that is allowed. Otherwise the site. */
export function redirectOf({ headers, query, body, redirects }: Asked): string {
  const [header] = [headers.redirect_to].flat();
  return redirects.choose(header, query.get('redirect_to'), body.text('redirect_to'), headers.referer);
}

const challengeMethods: Readonly<Record<string, CodeChallengeMethod>> = {
  s256: CodeChallengeMethod.S256,
  plain: CodeChallengeMethod.PLAIN,
};

/** The code challenge of a browser that exchanges a code for the session (PKCE). Empty for another browser. */
export function challengeOf(
  textOf: (name: 'code_challenge' | 'code_challenge_method') => string,
): Pick<MessageInitShape<typeof SiteLinkSchema>, 'codeChallenge' | 'codeChallengeMethod'> {
  const [codeChallenge, name] = [textOf('code_challenge'), textOf('code_challenge_method').toLowerCase()];
  if (!codeChallenge && !name) return {};
  if (!codeChallenge || !name) throw invalid('PKCE flow requires code_challenge_method and code_challenge');
  const codeChallengeMethod = Object.hasOwn(challengeMethods, name) ? challengeMethods[name] : undefined;
  if (codeChallengeMethod === undefined) throw invalid('code_challenge_method must be s256 or plain');
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(codeChallenge))
    throw invalid('code_challenge must have 43 to 128 letters, digits, dots, hyphens, underscores and tildes');
  return { codeChallenge, codeChallengeMethod };
}

/** Where a link in a mail leads, and what the browser that requested it exchanges (PKCE). */
export function siteLinkOf(asked: Asked): MessageInitShape<typeof SiteLinkSchema> {
  return { redirectTo: redirectOf(asked), ...challengeOf((name) => asked.body.text(name)) };
}
