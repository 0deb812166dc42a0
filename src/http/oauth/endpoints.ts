import type { IncomingMessage, ServerResponse } from 'node:http';
import { DeviceService } from '../../../gen/gatehouse/v1/device_pb.ts';
import { SessionService } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { LogBug } from '../../rpc/bug.ts';
import { reportBug } from '../../rpc/connect-error.ts';
import { kOrigin } from '../../rpc/context.ts';
import { beginRequest } from '../begun-request.ts';
import type { Gateway } from '../connect.ts';
import { type CallOnBehalf, unaryClient } from '../in-process.ts';
import { readForm } from '../pages/form-post.ts';
import { isRead } from '../probes.ts';
import { sendJson } from '../send-json.ts';
import { BoundTokens, type Seals } from './bound-token.ts';
import { authenticateClient, type OAuthClient, readBackend, readCredentials } from './client-authentication.ts';
import { type Asked, authorizeDevice, issueTokens } from './grants.ts';
import { metadataOf, metadataPath } from './metadata.ts';
import { OAuthError, oauthErrorOf } from './oauth-error.ts';
import { introspectToken, revokeToken } from './token-state.ts';

export interface OAuthOptions {
  readonly callOnBehalf: CallOnBehalf;
  /** OAUTH_CLIENTS. */
  readonly clients: readonly OAuthClient[];
  readonly clientSecrets: Guard;
  readonly keys: Seals;
  readonly issuer: string;
  /** PUBLIC_URL. */
  readonly publicUrl: string;
  readonly proxyHops: number;
  readonly logBug: LogBug;
}

/** Refuses an address that has tried too many wrong secrets. */
interface Guard {
  try<Client>(address: string, authenticate: () => Client): Promise<Client>;
}

/** A form, and the methods that serve it. */
interface Received extends Omit<Asked, 'clientId'> {
  readonly req: IncomingMessage;
  readonly address: string;
  readonly options: OAuthOptions;
}

/** Returns the body of the response, or undefined for an empty one. */
type Endpoint = (received: Received) => Promise<object | undefined>;

const endpoints: ReadonlyMap<string, Endpoint> = new Map<string, Endpoint>([
  ['/oauth2/device_authorization', byClient(authorizeDevice)],
  ['/oauth2/token', byClient(issueTokens)],
  ['/oauth2/revoke', byClient(revokeToken)],
  ['/oauth2/introspect', introspect],
]);

/**
 * OAuth for programs that have a library for it: the device grant (RFC 8628), refreshes, revocation (RFC 7009),
 * introspection (RFC 7662) and metadata (RFC 8414). They hold no rule about devices and sessions, and call the methods.
 */
export function oauthEndpoints(options: OAuthOptions): Gateway {
  const wellKnown = metadataPath(options.issuer);
  const metadata = metadataOf(options);
  return (req, res) => {
    const path = req.url?.split('?', 1)[0] ?? '';
    if (path === wellKnown && isRead(req)) {
      sendJson(res, 200, metadata);
      return true;
    }
    const endpoint = endpoints.get(path);
    // Only the connection can still fail.
    if (endpoint) answer(endpoint, req, res, options).catch(() => res.destroy());
    return endpoint !== undefined;
  };
}

async function answer(
  endpoint: Endpoint,
  req: IncomingMessage,
  res: ServerResponse,
  options: OAuthOptions,
): Promise<void> {
  const { context, gone } = beginRequest(req, res, options.proxyHops);
  const { address, requestId } = context.get(kOrigin);
  res.setHeader('pragma', 'no-cache');
  try {
    requirePost(req);
    const form = onlyOnce(await readForm(req));
    const transport = options.callOnBehalf(context, gone);
    const [devices, sessions] = [unaryClient(DeviceService, transport), unaryClient(SessionService, transport)];
    const tokens = new BoundTokens(options.keys);
    const body = await endpoint({ req, address, form, devices, sessions, tokens, options });
    sendJson(res, 200, body);
  } catch (thrown) {
    if (!(thrown instanceof OAuthError)) reportBug(options.logBug, thrown, requestId);
    const { code, status, message, headers } = oauthErrorOf(thrown);
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    sendJson(res, status, { error: code, error_description: printable(message) });
  }
}

/** The characters that RFC 6749, section 5.2, allows in a description. */
function printable(text: string): string {
  return text.replaceAll('"', "'").replace(/[^\x20-\x7e]|\\/g, ' ');
}

function requirePost({ method }: IncomingMessage): void {
  if (method !== 'POST')
    throw new OAuthError('invalid_request', 'only POST is allowed', { status: 405, headers: { allow: 'POST' } });
}

/** Throws invalid_request for a parameter that is there twice (RFC 6749, section 3.2). */
function onlyOnce(form: URLSearchParams): URLSearchParams {
  const names = [...form.keys()];
  const repeated = names.find((each, index) => names.indexOf(each) !== index);
  if (repeated !== undefined) throw new OAuthError('invalid_request', 'a parameter is there twice');
  return form;
}

function byClient(serve: (asked: Asked) => Promise<object | undefined>): Endpoint {
  return async ({ req, address, options, ...received }) => {
    const presented = readCredentials(req, received.form);
    const authenticate = () => authenticateClient(options.clients, presented);
    // An id alone is no guess at a secret.
    const { id } = await (presented.secret ? options.clientSecrets.try(address, authenticate) : authenticate());
    return serve({ ...received, clientId: id });
  };
}

/** The caller is a backend. Its service key is a bearer token, or the secret of a client with any id. */
function introspect({ req, options, form, sessions }: Received): Promise<object> {
  return introspectToken({ form, sessions, backend: readBackend(req, form), issuer: options.issuer });
}
