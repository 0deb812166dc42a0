import { createHash } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { sharedProvider } from './identity-provider.ts';
import type { TestService } from './start.ts';

const clientNonce = 'a-nonce-of-32-characters-_-_-_-_';
const started = { provider: 'acme', clientNonce, redirectUrl: 'http://127.0.0.1/welcome', clientState: 'kept' };

/** Samples of the methods about providers and identities. The service has the settings of `providerEnv`. */
export async function oauthSamples(service: TestService, headers: Record<string, string>) {
  const { auth } = service.clients('json');
  const provider = await sharedProvider();
  let count = 0;
  const known = { sub: 'olga', email: 'olga@example.org', email_verified: true, name: 'Olga' };
  /** An identity that has signed in before. */
  await auth.signInWithIdToken({ provider: 'acme', idToken: await provider.idToken(known) });
  const newIdToken = () => provider.idToken({ sub: `identity-${++count}` });
  const as = { headers };
  const requests: Record<string, () => JsonObject | Promise<JsonObject>> = {
    'AuthService.StartOAuth': () => ({
      ...started,
      scopes: ['calendar'],
      parameters: [{ name: 'prompt', value: 'login' }],
    }),
    'AuthService.FinishOAuth': async () => {
      const { authorizationUrl } = await auth.startOAuth(started);
      const parameters = { iss: provider.url, user: '{}', kind: 'SESSION_KIND_NATIVE' };
      return { ...provider.consent(authorizationUrl, known), clientNonce, ...parameters };
    },
    'AuthService.SignInWithIdToken': async () => ({
      provider: 'acme',
      idToken: await provider.idToken({ ...known, nonce: createHash('sha256').update('a nonce').digest('hex') }),
      nonce: 'a nonce',
      accessToken: 'of the provider',
      kind: 'SESSION_KIND_NATIVE',
    }),
    'AuthService.StartIdentityLink': () => started,
    'AuthService.LinkIdentity': async () => ({
      ...{ provider: 'acme', idToken: await newIdToken(), accessToken: 'of the provider' },
    }),
    'AuthService.ListIdentities': () => ({}),
    'AuthService.UnlinkIdentity': async () => {
      const { identity } = await auth.linkIdentity({ provider: 'acme', idToken: await newIdToken() }, as);
      return { identityId: identity!.id };
    },
  };
  return { requests };
}

const lost = '018f3c2e-0000-7000-8000-000000000001';

/** Requests that each method refuses. */
export const oauthRefusals = (
  asAda: Record<string, string>,
  asUnverified: Record<string, string>,
): Record<string, [request: object, headers?: Record<string, string>][]> => ({
  'AuthService.StartOAuth': [
    [{ ...started, provider: 'unknown' }],
    [{ ...started, redirectUrl: 'https://evil.example/' }],
    [{ provider: 'acme' }],
    [{ ...started, parameters: [{ name: 'state', value: 'x' }] }],
  ],
  'AuthService.FinishOAuth': [[{ state: 'unknown', code: 'x', clientNonce }], [{}]],
  'AuthService.SignInWithIdToken': [
    [{ provider: 'acme', idToken: 'nonsense' }],
    [{ provider: 'unknown', idToken: 'nonsense' }],
    [{}],
  ],
  'AuthService.StartIdentityLink': [[started], [started, asUnverified], [{ ...started, provider: 'unknown' }, asAda]],
  'AuthService.LinkIdentity': [
    [{ provider: 'acme', idToken: 'nonsense' }],
    [{ provider: 'acme', idToken: 'nonsense' }, asAda],
  ],
  'AuthService.ListIdentities': [[{}]],
  'AuthService.UnlinkIdentity': [
    [{ identityId: lost }, asAda],
    [{ identityId: 'x' }, asAda],
  ],
});
