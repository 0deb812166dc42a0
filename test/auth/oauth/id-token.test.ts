import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { tokenFor } from '../../support/inbox.ts';
import { ada, bob } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { bearer, wires } from '../../support/start.ts';
import { adaAtAcme, oauthClient, startWithProvider } from './oauth.ts';

describe.each(wires)('over %s', (wire) => {
  test('a nonce has to be known where the token has its hash, and absent where the token has none', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = service.clients(wire);
    const hashed = createHash('sha256').update('known').digest('hex');
    const signIn = async (nonce: string | undefined, known: string) =>
      auth.signInWithIdToken({
        provider: 'acme',
        nonce: known,
        idToken: await provider.idToken({ ...adaAtAcme, nonce }),
      });
    await signIn(undefined, '');
    await signIn(hashed, 'known');
    for (const [nonce, known] of [
      [undefined, 'known'],
      // What a thief of the token reads in it.
      ['known', 'known'],
      [hashed, hashed],
      ['known', ''],
      ['known', 'other'],
      [hashed, hashed.toUpperCase()],
    ] as const)
      expect((await refusalOf(signIn(nonce, known))).reason, `${nonce} ${known}`).toBe('ID_TOKEN_INVALID');
  });

  test('an access token has to be the one of the hash in the token, if the client sends one', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = service.clients(wire);
    const hashOf = (accessToken: string) =>
      createHash('sha256').update(accessToken).digest().subarray(0, 16).toString('base64url');
    const sent = async (accessToken: string, claims = {}) => {
      const idToken = await provider.idToken({ ...adaAtAcme, ...claims });
      return { provider: 'acme', idToken, accessToken };
    };
    const mine = { at_hash: hashOf('mine') };
    const { tokens } = await auth.signInWithIdToken(await sent('mine', mine));
    await auth.signInWithIdToken(await sent('', mine));
    await auth.signInWithIdToken(await sent('mine'));
    const as = bearer(tokens!);
    await auth.linkIdentity(await sent('mine', mine), as);
    for (const at_hash of [hashOf('other'), `${mine.at_hash}=`, '', 1, null]) {
      const other = await sent('mine', { at_hash });
      for (const refused of [() => auth.signInWithIdToken(other), () => auth.linkIdentity(other, as)])
        expect((await refusalOf(refused())).reason, `${at_hash}`).toBe('ID_TOKEN_INVALID');
    }
  });

  test('keys that the provider has rotated are requested once, and unknown ones do not flood it', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = service.clients(wire);
    const signIn = async (kid: string) =>
      auth.signInWithIdToken({ provider: 'acme', idToken: await provider.idToken(adaAtAcme, undefined, { kid }) });
    provider.instead.set('/keys', (_, res) => res.end('{"keys": []}'));
    expect((await refusalOf(signIn('key-1'))).reason).toBe('ID_TOKEN_INVALID');
    provider.instead.clear();
    expect((await refusalOf(signIn('key-1'))).reason, 'too early to ask again').toBe('ID_TOKEN_INVALID');
    service.pass(31);
    provider.now = () => service.now().getTime();
    await signIn('key-1');
    for (let count = 0; count < 5; count++)
      expect((await refusalOf(signIn('unknown'))).reason).toBe('ID_TOKEN_INVALID');
    expect(provider.requests.filter(({ path }) => path === '/keys')).toHaveLength(2);
  });

  test('keys and metadata serve for a day while the provider does not respond', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = service.clients(wire);
    provider.now = () => service.now().getTime();
    const signIn = async () => auth.signInWithIdToken({ provider: 'acme', idToken: await provider.idToken(adaAtAcme) });
    await signIn();
    for (const path of ['/keys', '/.well-known/openid-configuration'])
      provider.instead.set(path, (_, res) => res.writeHead(503).end());
    service.pass(4000);
    await signIn();
    const requests = provider.requests.length;
    await signIn();
    expect(provider.requests.length, 'no further request so soon').toBe(requests);
    service.pass(86_400);
    expect((await refusalOf(signIn())).reason).toBe('OAUTH_PROVIDER_UNAVAILABLE');
  });

  test('an address in the userinfo counts with what the userinfo says of it, if it is that of the same user', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn } = oauthClient(service, provider, wire);
    provider.metadata = { userinfo_endpoint: `${provider.url}/userinfo` };
    provider.alter = (claims) => ({ ...claims, email: undefined });
    const answer = (claims: object) => provider.instead.set('/userinfo', (_, res) => res.end(JSON.stringify(claims)));
    answer({ ...adaAtAcme, sub: 'another' });
    expect((await refusalOf(signIn())).reason).toBe('ID_TOKEN_INVALID');
    answer({ ...adaAtAcme, email_verified: undefined });
    expect((await signIn()).user).toMatchObject({ email: '', emailVerified: false });
    answer({ ...adaAtAcme, sub: 'bob', email: bob.email });
    expect((await signIn({ ...adaAtAcme, sub: 'bob' })).user).toMatchObject({ email: bob.email, emailVerified: true });
  });

  test('a provider without ID tokens, or one that is not configured, is not found', async () => {
    const { service, provider } = await startWithProvider({}, (each) => ({ github: each.plainSettings() }));
    const { auth } = service.clients(wire);
    const idToken = await provider.idToken(adaAtAcme);
    for (const name of ['github', 'google'])
      expect((await refusalOf(auth.signInWithIdToken({ provider: name, idToken }))).reason).toBe(
        'OAUTH_PROVIDER_NOT_FOUND',
      );
    expect((await refusalOf(oauthClient(service, provider, wire).begin({ provider: 'google' }))).reason).toBe(
      'OAUTH_PROVIDER_NOT_FOUND',
    );
  });

  test('where addresses have to be verified, a user without one gets a mail and no session', async () => {
    const { service, provider } = await startWithProvider({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
    const { signIn, auth } = oauthClient(service, provider, wire);
    const claims = { ...adaAtAcme, email_verified: false };
    const first = await signIn(claims);
    expect(first).toMatchObject({ userCreated: true, user: { email: '' } });
    expect(first.tokens).toBeUndefined();
    expect((await signIn(claims)).tokens, 'the same once more').toBeUndefined();
    await auth.confirmEmailChange({ token: await tokenFor(service, ada.email) });
    expect((await signIn(claims)).tokens).toBeDefined();
    const nameless = await refusalOf(signIn({ sub: 'nobody' }));
    expect(nameless.reason).toBe('EMAIL_NOT_VERIFIED');
  });

  test('with hidden registration an unverified address gets one response, taken or free', async () => {
    const { service, provider } = await startWithProvider({ env: { HIDE_REGISTRATION: 'on' } });
    const { signIn } = oauthClient(service, provider, wire);
    await service.welcome({ ...bob, emailVerified: true });
    const free = await signIn({ ...adaAtAcme, email_verified: false });
    const taken = await signIn({ ...adaAtAcme, sub: 'bob', email: bob.email, email_verified: false });
    expect(taken).toEqual(free);
    expect([free.user, free.tokens, free.identity, free.userCreated]).toEqual([undefined, undefined, undefined, false]);
    expect(await service.database.query('select 1 from identities')).toHaveLength(1);
  });

  test('where addresses need no proof, that of a provider needs none either', async () => {
    const { service, provider } = await startWithProvider({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const { signIn, auth } = oauthClient(service, provider, wire);
    const { user, tokens } = await signIn({ ...adaAtAcme, email_verified: false });
    expect(user).toMatchObject({ email: ada.email, emailVerified: true });
    expect((await auth.listIdentities({}, bearer(tokens!))).identities[0]!.emailVerified).toBe(false);
  });

  test('names of a provider are kept as people can read them, and bad addresses are left out', async () => {
    const { service, provider } = await startWithProvider();
    const { signIn } = oauthClient(service, provider, wire);
    const odd = { name: ` Ada\u0000\u202e\n${'x'.repeat(300)}`, preferred_username: 7, picture: 'javascript:alert(1)' };
    const { identity, user } = await signIn({ ...adaAtAcme, ...odd, email: 'no address' });
    expect(identity).toMatchObject({ email: '', username: '', pictureUrl: '' });
    expect(identity!.name).toMatch(/^Ada {2}x{195}$/);
    expect(user).toMatchObject({ email: '', pendingEmail: '' });
    const picture = 'https://example.org/ada.png';
    expect((await signIn({ ...adaAtAcme, picture })).identity).toMatchObject({
      pictureUrl: picture,
      name: 'Ada Lovelace',
    });
  });
});
