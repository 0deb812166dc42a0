import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { onTestFinished } from 'vitest';

/** What a provider says of a user. Undefined members are left out. */
export type ProviderClaims = Readonly<Record<string, unknown>>;

/** A request that the provider has received. */
interface Received {
  readonly path: string;
  readonly form: URLSearchParams;
  readonly authorization: string | undefined;
}

interface Granted {
  readonly query: URLSearchParams;
  readonly claims: ProviderClaims;
}

export const clientId = 'gatehouse-web';
export const mobileClientId = 'gatehouse-mobile';

const signing = generateKeyPair('RS256', { extractable: true });
/** A key that the provider does not publish. */
export const strangersKey = generateKeyPair('RS256');

/**
 * A provider that does what a test says. It signs real tokens, and redeems each code once, with PKCE. The tests with
 * oauth2-mock-server and oidc-provider show that the service works with others.
 */
export class IdentityProvider {
  readonly url: string;
  readonly requests: Received[] = [];
  /** Responses in place of the provider's own, by path. */
  readonly instead = new Map<string, RequestListener>();
  /** Members that replace those of the metadata. */
  metadata: ProviderClaims = {};
  /** Changes the claims of each ID token before it is signed. */
  alter: (claims: JWTPayload) => JWTPayload = (claims) => claims;
  /** The time of the provider's clock. */
  now: () => number = () => Date.now();
  readonly #codes = new Map<string, Granted>();
  readonly #users = new Map<string, ProviderClaims>();

  constructor(server: Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (req, res) => void this.#serve(req, res));
  }

  /** The member of OAUTH_PROVIDERS for this provider. */
  settings(more: object = {}) {
    return { client_id: clientId, client_secret: 'secret-of-the-client', issuer: this.url, ...more };
  }

  /** The same for a provider without OpenID Connect. */
  plainSettings(more: object = {}) {
    const at = (path: string) => `${this.url}/plain/${path}`;
    const endpoints = { authorization: at('authorize'), token: at('token'), user: at('user'), emails: at('emails') };
    return { client_id: clientId, client_secret: 'secret-of-the-client', endpoints, ...more };
  }

  /** The user with these claims gives their consent on the page. Returns the parameters of the callback. */
  consent(authorizationUrl: string, claims: ProviderClaims): Record<'state' | 'code', string> {
    const query = new URL(authorizationUrl).searchParams;
    const code = randomBytes(12).toString('base64url');
    this.#codes.set(code, { query, claims });
    return { state: query.get('state')!, code };
  }

  async idToken(claims: ProviderClaims, key = signing, header: object = {}): Promise<string> {
    const seconds = Math.floor(this.now() / 1000);
    const usual = { iss: this.url, aud: clientId, iat: seconds, exp: seconds + 300 };
    const payload = this.alter({ ...usual, ...claims } as JWTPayload);
    return new SignJWT(payload)
      .setProtectedHeader({ alg: 'RS256', kid: 'key-1', ...header })
      .sign((await key).privateKey);
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = req.url!.split('?', 1)[0]!;
    const parts: Buffer[] = [];
    for await (const part of req) parts.push(part as Buffer);
    const form = new URLSearchParams(Buffer.concat(parts).toString());
    this.requests.push({ path, form, authorization: req.headers.authorization });
    const other = this.instead.get(path);
    if (other) return void other(req, res);
    const [status, body] = await this.#answer(path, form, req.headers.authorization ?? '');
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  async #answer(path: string, form: URLSearchParams, authorization: string): Promise<[status: number, body: unknown]> {
    const { url } = this;
    if (path.endsWith('/.well-known/openid-configuration')) {
      const issuer = path.startsWith('/common/') ? `${url}/{tenantid}/v2.0` : url + path.slice(0, -33);
      const endpoints = {
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        jwks_uri: `${url}/keys`,
      };
      return [200, { issuer, ...endpoints, ...this.metadata }];
    }
    if (path === '/keys') {
      const { kty, n, e } = await exportJWK((await signing).publicKey);
      return [200, { keys: [{ kty, n, e, kid: 'key-1', alg: 'RS256', use: 'sig' }] }];
    }
    if (path === '/token' || path === '/plain/token') return this.#redeem(form, path === '/token');
    const claims = this.#users.get(authorization.slice('Bearer '.length));
    if (path === '/userinfo') return [200, claims];
    if (path === '/plain/user') return [200, claims];
    if (path === '/plain/emails') return [200, claims?.emails];
    return [404, {}];
  }

  async #redeem(form: URLSearchParams, isOpenId: boolean): Promise<[status: number, body: unknown]> {
    const granted = this.#codes.get(form.get('code') ?? '');
    this.#codes.delete(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const isSame =
      granted?.query.get('code_challenge') === challenge &&
      granted.query.get('redirect_uri') === form.get('redirect_uri');
    if (!isSame) return [400, { error: 'invalid_grant' }];
    const accessToken = randomBytes(12).toString('base64url');
    this.#users.set(accessToken, granted.claims);
    const nonce = granted.query.get('nonce');
    const idToken = isOpenId ? { id_token: await this.idToken({ nonce, ...granted.claims }) } : {};
    return [200, { access_token: accessToken, token_type: 'Bearer', refresh_token: 'of the provider', ...idToken }];
  }
}

async function open() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { server, provider: new IdentityProvider(server) };
}

/** A provider of one test. */
export async function startProvider(): Promise<IdentityProvider> {
  const { server, provider } = await open();
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return provider;
}

let ofProcess: Promise<IdentityProvider> | undefined;

/** A provider that all tests of a file share, for those that call every method. */
export function sharedProvider(): Promise<IdentityProvider> {
  ofProcess ??= open().then(({ server, provider }) => {
    server.unref();
    return provider;
  });
  return ofProcess;
}

/** The setting with which a service knows the shared provider. */
export async function providerEnv(): Promise<{ OAUTH_PROVIDERS: string }> {
  const provider = await sharedProvider();
  return { OAUTH_PROVIDERS: JSON.stringify({ acme: provider.settings() }) };
}
