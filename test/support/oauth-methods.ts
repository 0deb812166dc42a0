import { sharedProvider } from './identity-provider.ts';
import type { Run } from './methods.ts';
import { asService } from './people.ts';
import { bearer, type TestService, type Wire } from './start.ts';

const started = { provider: 'acme', clientNonce: 'a-nonce-of-32-characters-_-_-_-_' };
const { clientNonce } = started;

/** Runs every method about providers and identities. The service has the settings of `providerEnv`. */
export async function callOAuthMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { auth, admin } = service.clients(wire);
  const provider = await sharedProvider();
  const olga = { sub: 'olga', email: 'olga@example.org', email_verified: true };
  const { authorizationUrl } = await step('StartOAuth', () => auth.startOAuth(started));
  const first = provider.consent(authorizationUrl, olga);
  const { tokens } = await step('FinishOAuth', () => auth.finishOAuth({ ...first, clientNonce }));
  const as = bearer(tokens!);
  const idToken = await provider.idToken(olga);
  await step('SignInWithIdToken', () => auth.signInWithIdToken({ provider: 'acme', idToken }));
  const link = await step('StartIdentityLink', () => auth.startIdentityLink(started, as));
  const second = provider.consent(link.authorizationUrl, { sub: 'olga-2' });
  await step('FinishOAuth (link)', () => auth.finishOAuth({ ...second, clientNonce }));
  const third = await provider.idToken({ sub: 'olga-3' });
  const { identity } = await step('LinkIdentity', () => auth.linkIdentity({ provider: 'acme', idToken: third }, as));
  await step('ListIdentities', () => auth.listIdentities({}, as));
  await step('UnlinkIdentity', () => auth.unlinkIdentity({ identityId: identity!.id }, as));
  const guest = await auth.signUpAnonymous({});
  const guests = await provider.idToken({ sub: 'olga-4', email: 'olga-4@example.org', email_verified: true });
  const asGuest = bearer(guest.tokens!);
  await step('LinkIdentity (guest)', () => auth.linkIdentity({ provider: 'acme', idToken: guests }, asGuest));
  const oscar = { sub: 'oscar', email: 'oscar@example.org', email_verified: true };
  await admin.createUser({ email: oscar.email }, asService);
  const proving = await provider.idToken(oscar);
  await step('SignInWithIdToken (first proof)', () => auth.signInWithIdToken({ provider: 'acme', idToken: proving }));
}

/** The most statements of each. */
export const oauthCosts: Record<string, number> = {
  StartOAuth: 1,
  FinishOAuth: 16,
  SignInWithIdToken: 10,
  StartIdentityLink: 3,
  'FinishOAuth (link)': 9,
  LinkIdentity: 9,
  ListIdentities: 1,
  UnlinkIdentity: 10,
  'LinkIdentity (guest)': 22,
  'SignInWithIdToken (first proof)': 27,
};
