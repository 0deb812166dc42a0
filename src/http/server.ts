import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { errorToJson } from '@connectrpc/connect/protocol-connect';
import type { Certificates } from '../crypto/tls-certificates.ts';
import { type Reason, Refusal } from '../errors.ts';
import { toConnectError } from '../rpc/connect-error.ts';
import type { Readiness } from '../rpc/readiness.ts';
import { describeService } from './about.ts';
import type { Gateway } from './connect.ts';
import { allowOrigins, type OriginRules } from './cors.ts';
import { largestHeader } from './limits.ts';
import { isRead, probes, type Route, setSecurityHeaders } from './probes.ts';
import { sendJson } from './send-json.ts';

export interface HttpOptions {
  readonly gateway: Gateway;
  /** The endpoints of OAuth and, where no application has its own, the pages behind the links in mails. */
  readonly pages?: Gateway | undefined;
  readonly cors: OriginRules;
  readonly version: string;
  readonly readiness: () => Readiness;
  readonly jwks: () => object;
  /** The web origins that may use the passkeys of the RP id. */
  readonly passkeyOrigins: readonly string[];
  /** With certificates the server speaks TLS only. It requests no client certificates: its clients are browsers. */
  readonly certificates?: Certificates | undefined;
}

const cacheable = { 'cache-control': 'public, max-age=300' };

const times = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  // How often Node checks these timeouts. Its default is every 30 s.
  connectionsCheckingInterval: 1000,
};

/** One HTTP/1.1 server for everything that is not gRPC: RPCs as JSON, keys, probes. */
export function createHttpServer(options: HttpOptions): Server {
  const handlePreflight = allowOrigins(options.cors);
  const routes = plainRoutes(options);
  const server = createPlainOrSecure(options.certificates, (req, res) => {
    setSecurityHeaders(res);
    // Attack: two servers in a row that each believe another of two Host headers (RFC 9112, section 3.2).
    if (hasTwoHosts(req)) return sendRefusal(res, 400, 'MALFORMED_REQUEST');
    if (handlePreflight(req, res) || options.gateway(req, res) || options.pages?.(req, res)) return;
    const route = routes.get(req.url?.split('?', 1)[0] ?? '');
    if (!route) return sendRefusal(res, 404);
    if (!isRead(req)) return sendRefusal(res.setHeader('allow', 'GET, HEAD'), 405);
    route(res);
  });
  server.maxHeadersCount = 100;
  return server;
}

function createPlainOrSecure(certificates: Certificates | undefined, listener: RequestListener): Server {
  const options = { ...times, maxHeaderSize: largestHeader };
  if (!certificates) return createServer(options, listener);
  const server = createSecureServer({ ...options, ...certificates.context, handshakeTimeout: 10_000 }, listener);
  certificates.onRenewal(() => server.setSecureContext(certificates.context));
  return server;
}

function plainRoutes({ version, readiness, jwks, passkeyOrigins }: HttpOptions): ReadonlyMap<string, Route> {
  return new Map<string, Route>([
    ...probes(readiness),
    ['/', (res) => sendJson(res, 200, describeService(version))],
    ['/version', (res) => sendJson(res, 200, { name: 'gatehouse', version })],
    // Verifiers may cache the keys for five minutes: a standby key is published longer than that before it signs.
    ['/.well-known/jwks.json', (res) => sendJson(res, 200, jwks(), cacheable)],
    ...relatedOrigins(passkeyOrigins),
  ]);
}

/** For browsers, which otherwise admit only pages within the RP id (WebAuthn Level 3, section 5.11). */
function relatedOrigins(origins: readonly string[]): [path: string, Route][] {
  if (origins.length < 2) return [];
  return [['/.well-known/webauthn', (res) => sendJson(res, 200, { origins }, cacheable)]];
}

function hasTwoHosts({ rawHeaders }: IncomingMessage): boolean {
  let count = 0;
  // Names and values in turn. Every request passes here.
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length === 4 && name.toLowerCase() === 'host') count++;
  }
  return count > 1;
}

export function sendRefusal(res: ServerResponse, status: number, reason: Reason = 'METHOD_NOT_FOUND'): void {
  sendJson(res, status, errorToJson(toConnectError(new Refusal(reason)), undefined));
}
