import { describe, expect, test } from 'vitest';
import type { IdentityProvider, ProviderClaims } from '../../support/identity-provider.ts';
import { tokenFor } from '../../support/inbox.ts';
import { ada } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { bearer, wires } from '../../support/start.ts';
import { oauthClient, startWithProvider } from './oauth.ts';

const a = 'aaaaaaaa-0000-4000-8000-000000000001';
const b = 'bbbbbbbb-0000-4000-8000-000000000002';
const personal = '9188040d-6c67-4c5b-b112-36a304b66dad';

const withMicrosoft = (more: object = {}) =>
  startWithProvider({}, (provider) => ({ microsoft: provider.settings(more), other: otherOf(provider) }));

/** A provider that publishes a placeholder, but is not Microsoft. */
const otherOf = (provider: IdentityProvider) => provider.settings({ issuer: `${provider.url}/common/v2.0` });

/** What Microsoft says of a user of a tenant. */
const of = ({ url }: IdentityProvider, tid: string, more: object = {}): ProviderClaims => {
  const oid = '0a0a0a0a-0000-4000-8000-00000000000a';
  return { iss: `${url}/${tid}/v2.0`, tid, oid, sub: `pairwise of ${tid}`, email: ada.email, ...more };
};

const microsoft = { provider: 'microsoft' };

describe.each(wires)('over %s', (wire) => {
  test('a token has the issuer of the tenant that it names', async () => {
    const { service, provider } = await withMicrosoft();
    const { signIn } = oauthClient(service, provider, wire);
    expect((await signIn(of(provider, a), microsoft)).identity!.subject).toBe(
      `${a}/0a0a0a0a-0000-4000-8000-00000000000a`,
    );
    for (const claims of [
      of(provider, a, { tid: b }),
      of(provider, a, { tid: undefined }),
      of(provider, '{tenantid}'),
      of(provider, a, { iss: provider.url }),
      of(provider, a, { iss: `${provider.url}/${a}/v2.0/` }),
      of(provider, a, { iss: `https://evil.example/${a}/v2.0` }),
    ])
      expect((await refusalOf(signIn(claims, microsoft))).reason, JSON.stringify(claims)).toBe('ID_TOKEN_INVALID');
    const named = { iss: `${provider.url}/${b}/v2.0` };
    expect((await signIn(of(provider, b, { email: undefined }), microsoft, named)).userCreated).toBe(true);
  });

  test('one object id in two tenants is two users', async () => {
    const { service, provider } = await withMicrosoft();
    const { signIn } = oauthClient(service, provider, wire);
    const first = await signIn(of(provider, a, { email: undefined }), microsoft);
    const second = await signIn(of(provider, b, { email: undefined }), microsoft);
    expect(second.user!.id).not.toBe(first.user!.id);
    const otherClient = await signIn(
      of(provider, a, { email: undefined, sub: 'pairwise of a mobile client' }),
      microsoft,
    );
    expect(otherClient.user!.id, 'the subject differs between clients').toBe(first.user!.id);
  });

  test.each([
    ['a list of tenants', { allowed_tenants: [a] }],
    ['one tenant', { tenant: a }],
  ])('with %s, no other tenant signs in', async (_, more) => {
    const { service, provider } = await withMicrosoft(more);
    const { signIn } = oauthClient(service, provider, wire);
    expect((await signIn(of(provider, a), microsoft)).userCreated).toBe(true);
    for (const tenant of [b, personal])
      expect((await refusalOf(signIn(of(provider, tenant), microsoft))).reason).toBe('ID_TOKEN_INVALID');
  });

  test('a placeholder of another provider is an issuer of another name', async () => {
    const { service, provider } = await withMicrosoft();
    const { begin } = oauthClient(service, provider, wire);
    expect((await refusalOf(begin({ provider: 'other' }))).reason).toBe('OAUTH_PROVIDER_UNAVAILABLE');
  });

  test('an address counts as verified only if the tenant owns its domain', async () => {
    const { service, provider } = await withMicrosoft();
    const { signIn, auth } = oauthClient(service, provider, wire);
    const { user } = await service.welcome({ ...ada, emailVerified: true });
    for (const more of [{}, { xms_edov: false }, { xms_edov: 0 }, { email_verified: true }]) {
      const refused = await refusalOf(signIn(of(provider, a, more), microsoft));
      expect(refused, JSON.stringify(more)).toMatchObject({
        reason: 'IDENTITY_CONFLICT',
        metadata: { conflict: 'email' },
      });
    }
    const newcomer = await signIn(of(provider, b, { email: 'new@example.org' }), microsoft);
    expect(newcomer.user).toMatchObject({ email: '', emailVerified: false });
    expect((await auth.getMe({}, bearer(newcomer.tokens!))).user!.pendingEmail).toBe('new@example.org');
    await auth.confirmEmailChange({ token: await tokenFor(service, 'new@example.org') });
    expect((await auth.getMe({}, bearer(newcomer.tokens!))).user).toMatchObject({ email: 'new@example.org' });
    expect((await signIn(of(provider, a, { xms_edov: true }), microsoft)).user!.id).toBe(user.id);
  });
});
