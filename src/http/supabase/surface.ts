import type { IncomingMessage, ServerResponse } from 'node:http';
import type { JWK } from 'jose';
import { AdminService } from '../../../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { MfaService } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../../gen/gatehouse/v1/session_pb.ts';
import { Refusal } from '../../errors.ts';
import type { LogBug } from '../../rpc/bug.ts';
import { reportBug } from '../../rpc/connect-error.ts';
import { kOrigin, kProjectName, kSurface } from '../../rpc/context.ts';
import { publishablePrefix } from '../../text/publishable-key.ts';
import type { Redirects } from '../../text/redirects.ts';
import { beginRequest } from '../begun-request.ts';
import type { Gateway } from '../connect.ts';
import type { CorsOfPath } from '../cors.ts';
import { type CallOnBehalf, unaryClient } from '../in-process.ts';
import { Cookies } from '../pages/cookies.ts';
import { isRead } from '../probes.ts';
import { sendJson } from '../send-json.ts';
import { ApiKeys } from './api-keys.ts';
import type { Answer, Asked } from './asked.ts';
import { AuthError, bodyOf, codedVersion, readsCodes } from './auth-error.ts';
import { authErrorOf } from './errors.ts';
import { JsonBody, readJson } from './json-body.ts';
import { matchesOf } from './matching.ts';
import { namedProject } from './named-project.ts';

export interface SurfaceOptions {
  readonly callOnBehalf: CallOnBehalf;
  readonly projects: Projects;
  readonly now: () => Date;
  readonly jwks: () => { readonly keys: readonly JWK[] };
  /** The metadata of the authorization server (RFC 8414). */
  readonly metadata: object;
  readonly issuer: string;
  /** SUPABASE_API_KEYS. */
  readonly apiKeys: readonly string[];
  readonly proxyHops: number;
  readonly logBug: LogBug;
}

/** The projects, as far as the surface needs them. */
interface Projects {
  /** Throws PROJECT_NOT_FOUND. */
  named(name: string): Promise<{ readonly redirects: Redirects; readonly publishableKey: string | null }>;
}

/** Where the surface is mounted. It is the path of the issuer. */
export const surfacePath = '/auth/v1';

/** A page reads the codes of errors only if it may read the version of their shape. */
export const corsOfSurface: CorsOfPath = {
  path: surfacePath,
  methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowedHeaders: ['Accept', 'Apikey', 'X-Client-Info', 'X-JWT-AUD', 'X-Supabase-Api-Version', 'Redirect_to'],
  exposedHeaders: ['X-Total-Count', 'Link', 'X-Supabase-Api-Version'],
};

/**
 * The HTTP interface of Supabase Auth, for its published clients. It holds no rule about users and sessions, and calls the
 * methods.
 */
export function supabaseSurface(options: SurfaceOptions): Gateway {
  const keys = new ApiKeys(options.apiKeys);
  return (req, res) => {
    const [path = '', query = ''] = (req.url ?? '').split(/\?(.*)/s);
    if (path !== surfacePath && !path.startsWith(`${surfacePath}/`)) return false;
    const below = path.slice(surfacePath.length).replace(/\/$/, '');
    const document = isRead(req) ? documents[below] : undefined;
    if (document) {
      res.setHeader('cache-control', 'public, max-age=300');
      send(res, { body: document(options) });
      return true;
    }
    // Only the connection can still fail.
    respond(below, new URLSearchParams(query), req, res, { ...options, keys }).catch(() => res.destroy());
    return true;
  };
}

/** What verifiers of access tokens read. Discovery by the issuer finds the keys. */
const documents: Readonly<Record<string, (options: SurfaceOptions) => object>> = {
  '/.well-known/jwks.json': ({ jwks }) => ({ keys: jwks().keys.map((each) => ({ ...each, key_ops: ['verify'] })) }),
  '/.well-known/oauth-authorization-server': ({ metadata }) => metadata,
  '/.well-known/openid-configuration': ({ metadata, jwks }) => ({
    ...metadata,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...new Set(jwks().keys.map(({ alg }) => alg))],
  }),
};

async function respond(
  below: string,
  query: URLSearchParams,
  req: IncomingMessage,
  res: ServerResponse,
  options: SurfaceOptions & { readonly keys: ApiKeys },
): Promise<void> {
  const { context, gone } = beginRequest(req, res, options.proxyHops);
  context.set(kSurface, 'supabase');
  const atPath = matchesOf(below);
  const matches = atPath.filter(({ route }) => route.method === req.method);
  const [first] = matches;
  if (!first) return refuseRoute(res, [...new Set(atPath.map(({ route }) => route.method))]);
  let { route } = first;
  try {
    // The response of a provider names the project in its state.
    const posted = req.method === 'POST' && below === '/callback' ? await readJson(req) : undefined;
    const name = context.get(kProjectName) ?? namedProject(req, query, posted?.text('state'));
    const project = await options.projects.named(name ?? 'default').catch(explainKey(name));
    context.set(kProjectName, name);
    if (project.publishableKey === null) options.keys.require(req, route);
    const body = posted ?? (req.method === 'GET' ? new JsonBody({}) : await readJson(req));
    const match = matches.find((each) => each.route.fits?.({ query, body }) ?? true) ?? first;
    ({ route } = match);
    const transport = options.callOnBehalf(context, gone);
    const { now, issuer } = options;
    const cookies = new Cookies(req.headers.cookie, issuer.startsWith('https:'));
    const asked: Asked = {
      ...{ headers: req.headers, path: match.path, query, body, redirects: project.redirects, now, issuer, cookies },
      auth: unaryClient(AuthService, transport),
      sessions: unaryClient(SessionService, transport),
      mfa: unaryClient(MfaService, transport),
      admin: unaryClient(AdminService, transport),
    };
    const answer = await route.serve(asked);
    const changes = cookies.changes();
    if (changes.length > 0) res.setHeader('set-cookie', changes);
    send(res, answer);
  } catch (thrown) {
    const { requestId } = context.get(kOrigin);
    if (!(thrown instanceof AuthError)) reportBug(options.logBug, thrown, requestId);
    sendError(res, authErrorOf(thrown, route.name), req, requestId);
  }
}

/** An unknown key of a project is refused like any other wrong key. */
function explainKey(name: string | undefined): (thrown: unknown) => never {
  return (thrown) => {
    const isKey = name?.startsWith(publishablePrefix) && thrown instanceof Refusal;
    throw isKey ? new AuthError(401, 'no_authorization', 'Invalid API key') : thrown;
  };
}

function refuseRoute(res: ServerResponse, methods: readonly string[]): void {
  if (methods.length > 0) res.setHeader('allow', methods.join(', '));
  res.writeHead(methods.length > 0 ? 405 : 404, { 'content-type': 'text/plain; charset=utf-8' });
  res.end(methods.length > 0 ? '405 method not allowed\n' : '404 page not found\n');
}

function send(res: ServerResponse, { body, status = body === undefined ? 204 : 200, headers = {} }: Answer): void {
  sendJson(res, status, body, headers);
}

function sendError(res: ServerResponse, error: AuthError, { headers }: IncomingMessage, requestId: string): void {
  const isCoded = readsCodes([headers['x-supabase-api-version']].flat()[0]);
  const { status, code } = error;
  const version: Record<string, string> = isCoded && !error.oauthCode ? { 'x-supabase-api-version': codedVersion } : {};
  const body = bodyOf(error, isCoded, requestId);
  send(res, { status, body, headers: { ...error.headers, ...version, 'x-sb-error-code': code } });
}
