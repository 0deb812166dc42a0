import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { OAuthError } from './oauth-error.ts';

/** A program that OAUTH_CLIENTS lists. */
export interface OAuthClient {
  readonly id: string;
  /** SHA-256 of the secret. Undefined for a public client, which cannot keep one. */
  readonly digest?: Buffer | undefined;
}

/** How a request authenticates, for the challenge of its refusal. A form has no challenge. */
type Scheme = 'Basic' | 'Bearer' | 'form';

/** What a request says about who sent it (RFC 6749, section 2.3.1). */
export interface Presented {
  readonly id: string;
  readonly secret: string | undefined;
  readonly scheme: Scheme;
}

/** The service key of a request to introspect. */
export type Backend = Pick<Presented, 'secret' | 'scheme'>;

/** Throws invalid_request for a request with two credentials, and for one without any. */
export function readCredentials({ headers }: IncomingMessage, form: URLSearchParams): Presented {
  const [id, secret] = [form.get('client_id') ?? undefined, form.get('client_secret') ?? undefined];
  const basic = readBasic(headers.authorization);
  if (!basic) {
    if (id === undefined) throw new OAuthError('invalid_request', 'client_id is missing');
    return { id, secret, scheme: 'form' };
  }
  if (secret !== undefined || (id !== undefined && id !== basic.id))
    throw new OAuthError('invalid_request', 'the request has two credentials of a client');
  return basic;
}

function readBasic(header: string | undefined): Presented | undefined {
  if (header === undefined) return undefined;
  const [, encoded] = /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header) ?? [];
  const text = Buffer.from(encoded ?? '', 'base64').toString();
  const at = text.indexOf(':');
  if (at < 0) throw invalidClient('Basic');
  try {
    return { id: decode(text.slice(0, at)), secret: decode(text.slice(at + 1)), scheme: 'Basic' };
  } catch {
    throw invalidClient('Basic');
  }
}

// Both parts are encoded like a form before they are joined.
function decode(part: string): string {
  return decodeURIComponent(part.replaceAll('+', ' '));
}

/**
 * The service key of a backend: a bearer token, or the secret of a client with any id (RFC 7662, section 2.1). Throws
 * invalid_client for a request without one, with the challenge of the scheme that a backend should use.
 */
export function readBackend(req: IncomingMessage, form: URLSearchParams): Backend {
  const { authorization } = req.headers;
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
  if (bearer) return { secret: bearer, scheme: 'Bearer' };
  if (!authorization && !form.has('client_id')) throw invalidClient('Bearer');
  return readCredentials(req, form);
}

/** The client that sent a request. Throws invalid_client, the same for an unknown client and for a wrong secret. */
export function authenticateClient(clients: readonly OAuthClient[], { id, secret, scheme }: Presented): OAuthClient {
  const client = clients.find((each) => each.id === id);
  if (!client || !isRight(client, secret)) throw invalidClient(scheme);
  return client;
}

// A public client has no secret, and some libraries send an empty one.
function isRight({ digest }: OAuthClient, secret: string | undefined): boolean {
  if (!digest) return !secret;
  return secret !== undefined && timingSafeEqual(createHash('sha256').update(secret).digest(), digest);
}

const challenges: Readonly<Record<Scheme, string | undefined>> = {
  Basic: 'Basic realm="gatehouse", charset="UTF-8"',
  Bearer: 'Bearer realm="gatehouse"',
  form: undefined,
};

export function invalidClient(scheme: Scheme): OAuthError {
  const challenge = challenges[scheme];
  const headers: Record<string, string> = challenge ? { 'www-authenticate': challenge } : {};
  return new OAuthError('invalid_client', 'the client is unknown or did not authenticate', { status: 401, headers });
}
