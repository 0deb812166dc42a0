import type { IncomingMessage } from 'node:http';
import type { CallOptions, Client } from '@connectrpc/connect';
import type { AdminService } from '../../../gen/gatehouse/v1/admin_pb.ts';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import type { SessionService } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { Redirects } from '../../text/redirects.ts';
import { AuthError } from './auth-error.ts';
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
  readonly admin: Client<typeof AdminService>;
  readonly redirects: Redirects;
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
export const noBearer = () => new AuthError(401, 'no_authorization', 'This endpoint requires a valid Bearer token');

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
export function redirectOf({ headers, query, redirects }: Pick<Asked, 'headers' | 'query' | 'redirects'>): string {
  return redirects.choose([headers.redirect_to].flat()[0], query.get('redirect_to'), headers.referer);
}
