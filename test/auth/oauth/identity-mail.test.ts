import { describe, expect, test } from 'vitest';
import { mailsTo } from '../../support/inbox.ts';
import { ada } from '../../support/people.ts';
import { bearer, type TestService, wires } from '../../support/start.ts';
import { adaAtAcme, oauthClient, startWithProvider } from './oauth.ts';

const env = { MAIL_GAP: '0s' };

async function notices(service: TestService) {
  const mails = await mailsTo(service, ada.email);
  return mails.filter(({ subject }) => subject.includes('linked'));
}

describe.each(wires)('over %s', (wire) => {
  test('the owner is notified of an identity that is linked and of one that is unlinked', async () => {
    const { service, provider } = await startWithProvider({ env });
    const { link, auth } = oauthClient(service, provider, wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const claims = { ...adaAtAcme, email: 'elsewhere@example.org', preferred_username: 'evil.example/ada' };
    const { identity } = await link(as, claims);
    await link(as, claims);
    await auth.unlinkIdentity({ identityId: identity!.id }, as);
    const [linked, unlinked, ...others] = await notices(service);
    expect(others, 'linking the same identity again is no news').toEqual([]);
    expect(linked!.subject).toBe('acme was linked to your account');
    expect(linked!.text, 'a name that no mail program makes a link').toContain('Account: evil example ada');
    expect(unlinked!.subject).toContain('was unlinked from your account');
  });

  test('the owner is notified of an identity that a sign-in with the same address links, and a new user is not', async () => {
    const { service, provider } = await startWithProvider({ env });
    const { signIn } = oauthClient(service, provider, wire);
    await service.welcome({ ...ada, emailVerified: true });
    await signIn();
    await signIn();
    expect(await notices(service)).toHaveLength(1);
    const { tokens } = await signIn({ ...adaAtAcme, sub: 'bob-at-acme', email: 'bob@example.org' });
    expect(bearer(tokens!)).toBeDefined();
    expect((await mailsTo(service, 'bob@example.org')).filter(({ subject }) => subject.includes('linked'))).toEqual([]);
  });
});
