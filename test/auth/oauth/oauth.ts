import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  FinishOAuthRequestSchema,
  StartIdentityLinkRequestSchema,
  StartOAuthRequestSchema,
} from '../../../gen/gatehouse/v1/oauth_pb.ts';
import { type IdentityProvider, type ProviderClaims, startProvider } from '../../support/identity-provider.ts';
import { type StartOptions, start, type TestService, type Wire } from '../../support/start.ts';

type Starting = MessageInitShape<typeof StartOAuthRequestSchema>;
type Linking = MessageInitShape<typeof StartIdentityLinkRequestSchema>;
type Finishing = MessageInitShape<typeof FinishOAuthRequestSchema>;

export const clientNonce = 'a-nonce-that-one-browser-has';

/** What the provider says of ada. */
export const adaAtAcme = { sub: 'ada-at-acme', email: 'ada@example.org', email_verified: true, name: 'Ada Lovelace' };

/** A service whose users can sign in with `acme`, and with what `providers` makes of the same server. */
export async function startWithProvider(
  { env = {}, ...options }: StartOptions = {},
  providers: (provider: IdentityProvider) => object = () => ({}),
) {
  const provider = await startProvider();
  const configured = { acme: provider.settings(), ...providers(provider) };
  const service = await start({ ...options, env: { OAUTH_PROVIDERS: JSON.stringify(configured), ...env } });
  return { service, provider };
}

/** The steps of a sign-in over one wire, by default with `acme`. */
export function oauthClient(service: TestService, provider: IdentityProvider, wire: Wire = 'json', replica = 0) {
  const { auth } = service.clients(wire, replica);
  const begin = (request: Starting = {}) => auth.startOAuth({ provider: 'acme', clientNonce, ...request });
  return {
    auth,
    begin,
    /** The user gives their consent. Returns the request that finishes the sign-in. */
    async consent(claims: ProviderClaims = adaAtAcme, request: Starting = {}) {
      const { authorizationUrl } = await begin(request);
      return { ...provider.consent(authorizationUrl, claims), clientNonce };
    },
    async signIn(claims: ProviderClaims = adaAtAcme, request: Starting = {}, finishing: Finishing = {}) {
      const { authorizationUrl } = await begin(request);
      return auth.finishOAuth({ ...provider.consent(authorizationUrl, claims), clientNonce, ...finishing });
    },
    async link(as: { headers: Record<string, string> }, claims: ProviderClaims = adaAtAcme, request: Linking = {}) {
      const { authorizationUrl } = await auth.startIdentityLink({ provider: 'acme', clientNonce, ...request }, as);
      return auth.finishOAuth({ ...provider.consent(authorizationUrl, claims), clientNonce });
    },
  };
}
