import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OAuth2Server } from 'oauth2-mock-server';
import Provider from 'oidc-provider';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ada } from '../../support/people.ts';
import { start, wires } from '../../support/start.ts';
import { clientNonce } from './oauth.ts';

const callback = 'http://gatehouse.test/oauth/callback';
const client = { client_id: 'gatehouse', client_secret: 'secret-of-gatehouse-0123456789abcdef' };

const startWith = (issuer: string) =>
  start({ env: { OAUTH_PROVIDERS: JSON.stringify({ acme: { issuer, ...client } }) } });

/** Follows the redirects of a browser until one leads to the callback. */
async function browse(url: string): Promise<Record<string, string>> {
  const cookies = new Map<string, string>();
  let at = url;
  for (let step = 0; step < 10; step++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const each of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(each)!;
      cookies.set(name!, value!);
    }
    at = new URL(response.headers.get('location')!, at).href;
    if (at.startsWith(callback)) return Object.fromEntries(new URL(at).searchParams);
  }
  throw new Error(`no end of redirects at ${at}`);
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** oidc-provider, whose user always signs in and consents. */
async function startOidcProvider() {
  const server = createServer();
  const issuer = await listening(server);
  const provider = new Provider(issuer, {
    clients: [{ ...client, redirect_uris: [callback] }],
    claims: { email: ['email', 'email_verified'], profile: ['name'] },
    findAccount: (_: unknown, accountId: string) => ({
      accountId,
      claims: () => ({ sub: accountId, email: ada.email, email_verified: true, name: 'Ada Lovelace' }),
    }),
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
  });
  const serve = provider.callback();
  server.on('request', (req, res) => {
    if (!req.url!.startsWith('/interaction/')) return void serve(req, res);
    void consent(provider, req).then((result) => provider.interactionFinished(req, res, result));
  });
  async function consent(at: Provider, req: IncomingMessage) {
    const { prompt } = await at.interactionDetails(req, undefined);
    if (prompt.name === 'login') return { login: { accountId: 'ada-at-oidc' } };
    const grant = new at.Grant({ accountId: 'ada-at-oidc', clientId: client.client_id });
    grant.addOIDCScope('openid email profile');
    return { consent: { grantId: await grant.save() } };
  }
  return issuer;
}

describe.each(wires)('over %s', (wire) => {
  test('a user signs in with oauth2-mock-server', async () => {
    const server = new OAuth2Server();
    await server.issuer.keys.generate('RS256');
    await server.start(0, '127.0.0.1');
    onTestFinished(() => server.stop());
    server.service.on('beforeTokenSigning', ({ payload }: { payload: Record<string, unknown> }) => {
      Object.assign(payload, { sub: 'ada-at-mock', email: ada.email, email_verified: true });
    });
    const service = await startWith(server.issuer.url!);
    const { auth } = service.clients(wire);
    const { authorizationUrl } = await auth.startOAuth({ provider: 'acme', clientNonce });
    const finished = await auth.finishOAuth({ ...(await browse(authorizationUrl)), clientNonce });
    expect(finished).toMatchObject({ userCreated: true, user: { email: ada.email, emailVerified: true } });
    expect(finished.identity!.subject).toBe('ada-at-mock');
  });

  test('a user signs in with oidc-provider, which has the address in its userinfo and sends iss', async () => {
    const service = await startWith(await startOidcProvider());
    const { auth } = service.clients(wire);
    for (const userCreated of [true, false]) {
      const { authorizationUrl } = await auth.startOAuth({ provider: 'acme', clientNonce });
      const { iss, ...parameters } = await browse(authorizationUrl);
      expect(iss).toMatch(/^http:/);
      const finished = await auth.finishOAuth({ ...parameters, iss: iss!, clientNonce });
      expect(finished).toMatchObject({
        userCreated,
        user: { email: ada.email, emailVerified: true, name: 'Ada Lovelace' },
      });
    }
  });
});
