// @serializable
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CodeChallengeMethod } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import { ada, bob } from '../../support/people.ts';
import { Barrier, crowd, together } from '../../support/race.ts';
import { reasonOf, refusalOf } from '../../support/refusal.ts';
import { bearer, type TestService, wires } from '../../support/start.ts';
import { adaAtAcme, oauthClient, startWithProvider } from './oauth.ts';

const codeVerifier = 'v'.repeat(64);
const pkce = {
  codeChallenge: createHash('sha256').update(codeVerifier).digest('base64url'),
  codeChallengeMethod: CodeChallengeMethod.S256,
  unbound: true,
};

type Client = ReturnType<typeof oauthClient>;
type Provider = Awaited<ReturnType<typeof startWithProvider>>['provider'];

/** A sign-in with a challenge, up to the code. */
async function arrive({ auth }: Client, provider: Provider, claims = adaAtAcme) {
  const { authorizationUrl } = await auth.startOAuth({ provider: 'acme', ...pkce });
  return auth.finishOAuth({ ...provider.consent(authorizationUrl, claims), returnProviderTokens: true });
}

/** A link with a challenge, up to the code. */
async function arriveToLink({ auth }: Client, provider: Provider, as: ReturnType<typeof bearer>, claims = adaAtAcme) {
  const { authorizationUrl } = await auth.startIdentityLink({ provider: 'acme', ...pkce }, as);
  return auth.finishOAuth({ ...provider.consent(authorizationUrl, claims), signIn: true });
}

const count = async ({ database }: TestService, table: string) =>
  (await database.query(`select 1 from ${table}`)).length;

describe.each(wires)('over %s', (wire) => {
  test('a sign-in with a challenge gives a code, which the verifier exchanges once', async () => {
    const { service, provider } = await startWithProvider();
    const client = oauthClient(service, provider, wire);
    const finished = await arrive(client, provider);
    expect([finished.tokens, finished.providerTokens]).toEqual([undefined, undefined]);
    expect(await count(service, 'sessions')).toBe(0);
    const { exchangeCode } = finished;
    const wrong = await refusalOf(client.auth.exchangeCode({ exchangeCode, codeVerifier: 'w'.repeat(64) }));
    expect(wrong.reason).toBe('CODE_VERIFIER_MISMATCH');
    const { user, session, providerTokens } = await client.auth.exchangeCode({ exchangeCode, codeVerifier });
    expect([user!.email, session!.amr[0]!.method]).toEqual([ada.email, 'oauth']);
    expect(providerTokens).toMatchObject({ refreshToken: 'of the provider', accessToken: expect.any(String) });
    const again = await refusalOf(client.auth.exchangeCode({ exchangeCode, codeVerifier }));
    expect(again.reason).toBe('EXCHANGE_CODE_INVALID');
    service.ledger.keepSecret(providerTokens!.accessToken);
    expect(await service.database.dump()).not.toContain('of the provider');
  });

  test('half of a challenge is refused', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = oauthClient(service, provider, wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    for (const half of [{ codeChallenge: pkce.codeChallenge }, { codeChallengeMethod: CodeChallengeMethod.S256 }]) {
      const request = { provider: 'acme', unbound: true, ...half };
      expect((await refusalOf(auth.startOAuth(request))).reason).toBe('INVALID_ARGUMENT');
      expect((await refusalOf(auth.startIdentityLink(request, as))).reason).toBe('INVALID_ARGUMENT');
    }
  });

  test('a link with a challenge is written by the exchange, while the session that started it is live', async () => {
    const { service, provider } = await startWithProvider();
    const client = oauthClient(service, provider, wire);
    const { as, user, tokens } = await service.welcome({ ...ada, emailVerified: true });
    const first = await arriveToLink(client, provider, as);
    expect(await count(service, 'identities')).toBe(0);
    const linked = await client.auth.exchangeCode({ exchangeCode: first.exchangeCode, codeVerifier });
    expect([linked.user!.id, await count(service, 'identities'), await count(service, 'sessions')]).toEqual([
      user.id,
      1,
      2,
    ]);
    const other = await arriveToLink(client, provider, as, { ...adaAtAcme, sub: 'another' });
    await service.clients(wire).sessions.signOut({ refreshToken: tokens.refreshToken });
    const dead = await refusalOf(client.auth.exchangeCode({ exchangeCode: other.exchangeCode, codeVerifier }));
    expect([dead.reason, await count(service, 'identities')]).toEqual(['SESSION_REVOKED', 1]);
  });

  test('a link of an identity that another user has is refused before the exchange, and by it', async () => {
    const { service, provider } = await startWithProvider();
    const client = oauthClient(service, provider, wire);
    const { as } = await service.welcome({ ...bob, emailVerified: true });
    const { exchangeCode } = await arriveToLink(client, provider, as);
    await client.signIn();
    const late = await refusalOf(client.auth.exchangeCode({ exchangeCode, codeVerifier }));
    expect(late).toMatchObject({ reason: 'IDENTITY_CONFLICT', metadata: { conflict: 'identity' } });
    const early = await refusalOf(arriveToLink(client, provider, as));
    expect(early).toMatchObject({ reason: 'IDENTITY_CONFLICT', metadata: { conflict: 'identity' } });
  });
});

test('of many exchanges of one code at once, one links a guest and opens no second session', async () => {
  const barrier = new Barrier('ExchangeCode');
  const { service, provider } = await startWithProvider({ replicas: 2, inner: [barrier.interceptor()] });
  const client = oauthClient(service, provider);
  const guest = await service.guest();
  const { exchangeCode } = await arriveToLink(client, provider, guest.as);
  barrier.expect(crowd);
  const { answers, errors } = await together((i) => {
    const { auth } = service.clients('grpc', i);
    return auth.exchangeCode({ exchangeCode, codeVerifier });
  });
  expect([answers.length, errors.length]).toEqual([1, crowd - 1]);
  const reasons = new Set(errors.map(reasonOf));
  for (const reason of reasons) expect(['EXCHANGE_CODE_INVALID', 'TOKEN_SUPERSEDED', 'TRY_AGAIN']).toContain(reason);
  expect(answers[0]!.session!.id).toBe(guest.session.id);
  expect([await count(service, 'identities'), await count(service, 'sessions')]).toEqual([1, 1]);
  expect(await client.auth.getMe({ identities: true }, bearer(answers[0]!.tokens!))).toMatchObject({
    user: { isAnonymous: false, email: ada.email, providers: ['acme'], identities: [{ subject: adaAtAcme.sub }] },
  });
});
