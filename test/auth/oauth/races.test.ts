// @serializable
import { describe, expect, test } from 'vitest';
import { ada, bob } from '../../support/people.ts';
import { Barrier, crowd, together } from '../../support/race.ts';
import { reasonOf } from '../../support/refusal.ts';
import { bearer, wires } from '../../support/start.ts';
import { adaAtAcme, oauthClient, startWithProvider } from './oauth.ts';

describe.each(wires)('over %s', (wire) => {
  test('of parallel calls with one state at two replicas, one signs in', async () => {
    const barrier = new Barrier('FinishOAuth');
    const { service, provider } = await startWithProvider({ replicas: 2, inner: [barrier.interceptor('method')] });
    const finishing = await oauthClient(service, provider, wire).consent();
    barrier.expect(crowd);
    const { answers, errors } = await together((index) => service.clients(wire, index).auth.finishOAuth(finishing));
    expect(answers).toHaveLength(1);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['OAUTH_STATE_INVALID']));
    expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
    expect(provider.requests.filter(({ path }) => path === '/token')).toHaveLength(1);
  });

  test.each([
    ['with an address', adaAtAcme],
    ['without an address', { ...adaAtAcme, email: undefined }],
    ['with an address that is not verified', { ...adaAtAcme, email_verified: false }],
  ])('parallel first sign-ins of one identity %s make one user', async (_, claims) => {
    const barrier = new Barrier('FinishOAuth');
    const { service, provider } = await startWithProvider({ replicas: 2, inner: [barrier.interceptor()] });
    const { consent } = oauthClient(service, provider, wire);
    const requests: Awaited<ReturnType<typeof consent>>[] = [];
    for (let index = 0; index < Math.min(crowd, 10); index++) requests.push(await consent(claims));
    barrier.expect(requests.length);
    const { answers, errors } = await together(
      (index) => service.clients(wire, index).auth.finishOAuth(requests[index]!),
      requests.length,
    );
    expect(errors.map(reasonOf)).toEqual([]);
    expect(new Set(answers.map(({ user }) => user!.id)).size).toBe(1);
    expect(answers.filter(({ userCreated }) => userCreated)).toHaveLength(1);
    expect(await service.database.query('select 1 from users')).toHaveLength(1);
    expect(await service.database.query('select 1 from identities')).toHaveLength(1);
    expect(await service.database.query('select 1 from accounts')).toHaveLength(1);
  });

  test('parallel first sign-ins of different identities with one address make one user with all of them', async () => {
    const barrier = new Barrier('SignInWithIdToken');
    const { service, provider } = await startWithProvider({ replicas: 2, inner: [barrier.interceptor()] });
    const spellings = ['Ada@Example.ORG', 'ada@example.org', 'ADA@EXAMPLE.ORG'];
    const tokens: string[] = [];
    for (let index = 0; index < crowd; index++)
      tokens.push(await provider.idToken({ ...adaAtAcme, sub: `ada-${index}`, email: spellings[index % 3] }));
    barrier.expect(crowd);
    const { answers, errors } = await together((index) =>
      service.clients(wire, index).auth.signInWithIdToken({ provider: 'acme', idToken: tokens[index]! }),
    );
    expect(errors.map(reasonOf)).toEqual([]);
    expect(new Set(answers.map(({ user }) => user!.id)).size).toBe(1);
    expect(await service.database.query('select 1 from identities')).toHaveLength(crowd);
    expect(await service.database.query('select 1 from users')).toHaveLength(1);
  });

  test('of two users who link one identity at once, one has it', async () => {
    const barrier = new Barrier('LinkIdentity');
    const { service, provider } = await startWithProvider({ replicas: 2, inner: [barrier.interceptor()] });
    const callers = [
      await service.welcome({ ...ada, emailVerified: true }),
      await service.welcome({ ...bob, emailVerified: true }),
    ];
    const idToken = await provider.idToken(adaAtAcme);
    barrier.expect(crowd);
    const { answers, errors } = await together((index) =>
      service.clients(wire, index).auth.linkIdentity({ provider: 'acme', idToken }, callers[index % 2]!.as),
    );
    expect(new Set(answers.map(({ identity }) => identity!.id)).size).toBe(1);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['IDENTITY_CONFLICT']));
    expect(answers.length + errors.length).toBe(crowd);
  });

  test('of a user without a password, parallel calls leave one identity', async () => {
    const barrier = new Barrier('UnlinkIdentity');
    const { service, provider } = await startWithProvider({ replicas: 2, inner: [barrier.interceptor()] });
    const { signIn, auth } = oauthClient(service, provider, wire);
    const { tokens } = await signIn();
    const as = bearer(tokens!);
    const idToken = await provider.idToken({ sub: 'another' });
    await auth.linkIdentity({ provider: 'acme', idToken }, as);
    const { identities } = await auth.listIdentities({}, as);
    barrier.expect(2);
    const { answers, errors } = await together(
      (index) => service.clients(wire, index).auth.unlinkIdentity({ identityId: identities[index]!.id }, as),
      2,
    );
    expect(answers).toHaveLength(1);
    expect(errors.map(reasonOf)).toEqual(['LAST_SIGN_IN_METHOD']);
  });
});
