import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { AccessTokens } from '../../src/session/access-token.ts';
import { partsOf, resign } from '../support/forge.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';
import { forgeries } from './forgeries.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('an access token has the claims that Supabase clients expect, and a unique jti', async () => {
  const service = await start();
  const { tokens, user, session } = await service.welcome();
  const { header, claims } = partsOf(tokens.accessToken);
  const { iat, jti, ...rest } = claims as { iat: number; jti: string };
  expect(header).toEqual({ alg: 'ES256', typ: 'JWT', kid: service.replicas[0]!.ring.signer().id });
  expect(rest).toEqual({
    iss: 'http://gatehouse.test/auth/v1',
    sub: user.id,
    aud: 'authenticated',
    exp: iat + 3600,
    email: ada.email,
    email_verified: false,
    phone: '',
    app_metadata: { provider: 'email', providers: ['email'] },
    user_metadata: {},
    role: 'authenticated',
    aal: 'aal1',
    amr: [{ method: 'password', timestamp: expect.any(Number) }],
    session_id: session.id,
    token_epoch: 0,
    is_anonymous: false,
  });
  expect([user.id, session.id].every((each) => uuid.test(each))).toBe(true);
  expect(Math.abs(iat - service.now().getTime() / 1000)).toBeLessThan(10);
  const { tokens: guest } = await service.guest();
  expect(partsOf(guest.accessToken).claims).toMatchObject({
    email: '',
    is_anonymous: true,
    app_metadata: {},
    amr: [{ method: 'anonymous' }],
  });
  const more = await Promise.all(Array.from({ length: 20 }, () => service.signIn()));
  expect(new Set([jti, ...more.map((each) => partsOf(each.tokens.accessToken).claims.jti)]).size).toBe(21);
});

test('jose verifies access tokens with the keys of the JWKS endpoint', async () => {
  const service = await start();
  const { tokens, user } = await service.welcome();
  const keys = createRemoteJWKSet(new URL(`http://127.0.0.1:${service.replicas[0]!.httpPort}/.well-known/jwks.json`));
  const expected = {
    issuer: 'http://gatehouse.test/auth/v1',
    audience: 'authenticated',
    algorithms: ['ES256'],
    typ: 'JWT',
  };
  const { payload } = await jwtVerify(tokens.accessToken, keys, expected);
  expect(payload.sub).toBe(user.id);
});

test('a token is accepted whose replica has a clock that is up to thirty seconds ahead', async () => {
  const service = await start();
  const { tokens } = await service.welcome();
  const { iat, iss } = partsOf(tokens.accessToken).claims as { iat: number; iss: string };
  const access = new AccessTokens(service.replicas[0]!.ring, {
    issuer: iss,
    lifetime: 3600,
    accountClaims: [],
    factorRequirement: { requiredFor: 'none', grace: 0 },
  });
  const readAt = (milliseconds: number) => access.read(tokens.accessToken, new Date(iat * 1000 + milliseconds));
  expect(await readAt(-30_000)).toMatchObject({ issuedAt: new Date(iat * 1000) });
  await expect(readAt(-30_001)).rejects.toMatchObject({ reason: 'TOKEN_INVALID' });
});

test('ACCESS_TOKEN_LIFETIME is the difference between exp and iat, and expires_in', async () => {
  const service = await start({ env: { ACCESS_TOKEN_LIFETIME: '120' } });
  const { tokens } = await service.welcome();
  const { exp, iat } = partsOf(tokens.accessToken).claims as { exp: number; iat: number };
  expect(exp - iat).toBe(120);
  expect(tokens.expiresIn).toMatchObject({ seconds: 120n, nanos: 0 });
  expect(tokens.expireTime).toMatchObject({ seconds: BigInt(exp), nanos: 0 });
  expect(readConfig(testEnv).config.accessTokenLifetime).toBe(3600);
  for (const wrong of ['abc', '0', '-5', '1.5', '86401'])
    expect(() => readConfig({ ...testEnv, ACCESS_TOKEN_LIFETIME: wrong }), wrong).toThrow('ACCESS_TOKEN_LIFETIME');
});

describe.each(wires)('over %s', (wire) => {
  test('an access token expires at the second of its exp', async () => {
    const service = await start({ env: { ACCESS_TOKEN_LIFETIME: '60' } });
    const { auth } = service.clients(wire);
    const { as } = await service.welcome();
    service.pass(57);
    await auth.getMe({}, as);
    service.pass(3);
    expect(await refusalOf(auth.getMe({}, as))).toMatchObject({ reason: 'TOKEN_EXPIRED', code: 16 });
  });

  test('an access token is not accepted as a refresh token, nor a refresh token as an access token', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const refreshed = () => sessions.refresh({ refreshToken: tokens.accessToken });
    expect((await refusalWithoutTrace(service.database, refreshed)).reason).toBe('REFRESH_TOKEN_INVALID');
    const called = () => auth.getMe({}, bearer({ accessToken: tokens.refreshToken }));
    expect((await refusalWithoutTrace(service.database, called)).reason).toBe('TOKEN_INVALID');
  });

  test('only tokens that the service signed as access tokens are accepted', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const calls = countCalls();
    const { tokens, user } = await service.welcome();
    const before = await service.database.checksums();
    const deviations: object[] = [];
    for (const [name, token] of forgeries(service, tokens.accessToken, await calls.url)) {
      const seen = await auth.getMe({}, bearer({ accessToken: token })).then(() => 'accepted', refusalReason);
      const { active } = await sessions.introspect({ token: token.slice(0, 8000) || '.' }, asService);
      if (seen !== 'TOKEN_INVALID' || active) deviations.push({ name, seen, active });
    }
    expect(deviations).toEqual([]);
    expect(await service.database.checksums()).toEqual(before);
    expect(calls.count(), 'no key was fetched from where a token says').toBe(0);
    const { user: me } = await auth.getMe({}, bearer({ accessToken: resign(service, tokens.accessToken, {}) }));
    expect(me!.id, 'signed like that, unchanged, it is a good token').toBe(user.id);
    const soon = Math.floor(service.now().getTime() / 1000) + 20;
    // The clock of another replica may be ahead by that much.
    await auth.getMe({}, bearer({ accessToken: resign(service, tokens.accessToken, { claims: { iat: soon } }) }));
  });

  test('the state of session and user in the database takes precedence over the claims of an older token', async () => {
    const service = await start({ skipChecks: ['orphans'] });
    const { auth, sessions } = service.clients(wire);
    const { tokens, as, user } = await service.welcome();
    const strong = resign(service, tokens.accessToken, { claims: { aal: 'aal2' } });
    expect((await sessions.introspect({ token: strong }, asService)).aal).toBe(1);
    await service.database.query('update sessions set aal = 2');
    expect((await sessions.introspect({ token: strong }, asService)).aal).toBe(2);
    expect((await sessions.introspect({ token: tokens.accessToken }, asService)).aal).toBe(1);
    await service.database.query('update users set must_change_password = true where id = $1', [user.id]);
    expect((await refusalOf(sessions.listSessions({}, as))).reason).toBe('PASSWORD_CHANGE_REQUIRED');
    await service.database.query('update users set is_anonymous = true, must_change_password = false');
    expect((await auth.getMe({}, as)).user!.isAnonymous).toBe(true);
    const { session: bobs } = await service.welcome(bob);
    const stolen = resign(service, tokens.accessToken, { claims: { session_id: bobs.id } });
    expect((await refusalOf(auth.getMe({}, bearer({ accessToken: stolen })))).reason).toBe('SESSION_REVOKED');
  });
});

test('tokens with unknown key ids make a replica read the keys at most once in five seconds', async () => {
  const { url: databaseUrl, statements } = await startProxy();
  const service = await start({ databaseUrl });
  const { sessions } = service.clients('grpc');
  const { tokens } = await service.welcome();
  const before = statements.length;
  const since = performance.now();
  let sent = 0;
  while (performance.now() - since < 1500 || sent <= 200) {
    const flood = Array.from({ length: 50 }, () =>
      resign(service, tokens.accessToken, { header: { kid: `made-up-${sent++}` } }),
    );
    const answers = await Promise.all(flood.map((token) => sessions.introspect({ token }, asService)));
    expect(answers.some((each) => each.active)).toBe(false);
  }
  const queries = statements.slice(before).filter(({ text }) => text.includes('"signing_keys"')).length;
  const intervals = Math.ceil((performance.now() - since) / 5000);
  expect(queries, 'one for the flood and one of the background, per interval').toBeLessThanOrEqual(2 * intervals);
});

function refusalReason(error: unknown) {
  return refusalOf(Promise.reject(error)).then((each) => each.reason);
}

/** Another server, which must not be called. */
function countCalls() {
  let calls = 0;
  const server = http.createServer((_, res) => {
    calls++;
    res.end('{"keys":[]}');
  });
  const url = new Promise<string>((resolve) =>
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`),
    ),
  );
  onTestFinished(() => void server.close());
  return { url, count: () => calls };
}
