// @serializable
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { expect, onTestFinished, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { transact } from '../../src/database/transaction.ts';
import { listKeys, retireSealedUnder, revokeKey, rotateKeys } from '../../src/session/key-ring.ts';
import { createDatabase } from '../support/database.ts';
import { partsOf } from '../support/forge.ts';
import { asService, testEnv } from '../support/people.ts';
import { crowd, together } from '../support/race.ts';
import { send } from '../support/raw-http.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { bearer, start, type TestService } from '../support/start.ts';

test('a rotation activates the standby key, and earlier tokens stay valid', async () => {
  const service = await start({ replicas: 2 });
  const operator = await asOperator(service);
  const { tokens: older } = await service.welcome();
  const [active, standby] = await operator.keys();
  expect([active!.state, standby!.state]).toEqual(['active', 'standby']);
  await operator.rotate();
  expect((await operator.keys()).map(({ state }) => state)).toEqual(['retired', 'active', 'standby']);
  const { tokens: newer } = await service.signIn();
  expect([older, newer].map(kidOf)).toEqual([active!.id, standby!.id]);
  for (const replica of [0, 1])
    for (const tokens of [older, newer]) await service.clients('grpc', replica).auth.getMe({}, bearer(tokens));
});

test('the JWKS lists the public keys in standby, active and retired, may be cached for five minutes, and omits revoked keys', async () => {
  const service = await start();
  const operator = await asOperator(service);
  await operator.rotate();
  await operator.rotate();
  const before = await operator.keys();
  expect(before.map(({ state }) => state)).toEqual(['retired', 'retired', 'active', 'standby']);
  await operator.revoke(before[0]!.id);
  const { status, headers, json } = await send(service.replicas[0]!.httpPort, {
    method: 'GET',
    path: '/.well-known/jwks.json',
  });
  expect({ status, ...headers }).toMatchObject({
    status: 200,
    'cache-control': 'public, max-age=300',
    'content-type': 'application/json',
  });
  const [, ...shown] = before;
  expect(json).toEqual({
    keys: shown.map(({ id }) => ({
      kty: 'EC',
      crv: 'P-256',
      x: expect.stringMatching(/^[\w-]{43}$/),
      y: expect.stringMatching(/^[\w-]{43}$/),
      kid: id,
      use: 'sig',
      alg: 'ES256',
    })),
  });
});

test('tokens of a revoked key are rejected, also those that were accepted before', async () => {
  const service = await start({ replicas: 2 });
  const operator = await asOperator(service);
  const { tokens, as } = await service.welcome();
  for (const replica of [0, 1]) await service.clients('grpc', replica).auth.getMe({}, as);
  const [active] = await operator.keys();
  expect(await operator.revoke('no such key')).toBe(false);
  expect(await operator.revoke(active!.id)).toBe(true);
  expect((await operator.keys()).map(({ state }) => state)).toEqual(['revoked', 'active', 'standby']);
  for (const replica of [0, 1]) {
    const { auth, sessions } = service.clients('grpc', replica);
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('TOKEN_INVALID');
    expect(
      await sessions.introspect({ token: tokens.accessToken, maxStaleness: { seconds: 5n } }, asService),
    ).toMatchObject({ active: false });
  }
  const { tokens: fresh } = await service.clients('json').sessions.refresh({ refreshToken: tokens.refreshToken });
  await service.clients('grpc', 1).auth.getMe({}, bearer(fresh!));
});

test('every replica reads a rotation by itself within five seconds', async () => {
  const service = await start({ replicas: 2 });
  const operator = await asOperator(service);
  await operator.rotateWithoutReload();
  const until = performance.now() + 6000;
  const counts = () => service.replicas.map(({ ring }) => ring.jwks().keys.length);
  while (counts().includes(2) && performance.now() < until) await sleep(50);
  expect(counts()).toEqual([3, 3]);
});

test('every token that is signed while keys rotate verifies on both replicas and with the JWKS', async () => {
  const service = await start({ replicas: 2 });
  const operator = await asOperator(service);
  await service.welcome();
  const tokens: string[] = [];
  for (let round = 0; round < 2; round++) {
    const rotating = operator.rotateWithoutReload();
    const { answers: signed, errors } = await together(async (i) => {
      if (i % 5 === 0) await service.replicas[i % 2]!.ring.reload();
      const { auth } = service.clients('grpc', i);
      return (await auth.signUpAnonymous({})).tokens!.accessToken;
    }, crowd * 2.5);
    // With serializable isolation so many inserts at once may conflict so often that one call fails with TRY_AGAIN.
    expect(errors.map(reasonOf).filter((each) => each !== 'TRY_AGAIN')).toEqual([]);
    await rotating;
    const everywhere = signed.flatMap((accessToken) => [0, 1].map((replica) => [accessToken, replica] as const));
    await Promise.all(
      everywhere.map(([accessToken, replica]) =>
        service.clients('grpc', replica).auth.getMe({}, bearer({ accessToken })),
      ),
    );
    tokens.push(...signed);
    await operator.reload();
  }
  expect(new Set(tokens.map((accessToken) => kidOf({ accessToken }))).size, 'two keys have signed').toBeGreaterThan(1);
  const published = createLocalJWKSet(service.replicas[1]!.ring.jwks() as JSONWebKeySet);
  for (const each of tokens) await jwtVerify(each, published, { algorithms: ['ES256'] });
});

test('parallel rotations leave one active and one standby key', async () => {
  const service = await start();
  const operator = await asOperator(service);
  await Promise.all(Array.from({ length: 5 }, operator.rotateWithoutReload));
  const states = (await operator.keys()).map(({ state }) => state);
  expect(states.toSorted()).toEqual(['active', 'retired', 'retired', 'retired', 'retired', 'retired', 'standby']);
});

test('a dump of the database holds no private key', async () => {
  const service = await start();
  const { privateKey, id } = service.replicas[0]!.ring.signer();
  const { d } = privateKey.export({ format: 'jwk' });
  const scalar = Buffer.from(d!, 'base64url');
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  const dump = await service.database.dump();
  for (const secret of [scalar, der])
    for (const spelling of ['hex', 'base64', 'base64url'] as const)
      expect(dump).not.toContain(secret.toString(spelling));
  expect(dump).toContain(id);
  await service.database.query(
    `update signing_keys set private_sealed = (select private_sealed from signing_keys where state = 'standby') where state = 'active'`,
  );
  await expect(startReplica(service.database), 'sealed for its own row').rejects.toThrow();
});

test('replicas that start at once on a new database create one active and one standby key together', async () => {
  const database = await createDatabase();
  await Promise.all([0, 1, 2].map(() => startReplica(database)));
  const rows = await database.query('select state from signing_keys order by 1');
  expect(rows).toEqual([{ state: 'active' }, { state: 'standby' }]);
});

test('a replica with other master keys does not start, and the error says what to set', async () => {
  const { database } = await start();
  const foreign = startReplica(database, { MASTER_KEYS: `test:${keyMadeOf('another')}` });
  await expect(foreign).rejects.toThrow(
    "the key 'test' of MASTER_KEYS is not the key of that id that this database was written with; set the right key",
  );
  const forgetful = startReplica(database, { MASTER_KEYS: `next:${keyMadeOf('next')}` });
  await expect(forgetful).rejects.toThrow(
    "MASTER_KEYS lacks the key 'test' that this database was written with; add it, after the active key, or give it up",
  );
  await startReplica(database);
});

test('with a new master key before the old one, tokens and keys of the old one stay valid', async () => {
  const service = await start();
  const { tokens } = await service.welcome();
  const next = `next:${keyMadeOf('next')}`;
  const newer = await startReplica(service.database, { MASTER_KEYS: `${next},${testEnv.MASTER_KEYS}` });
  await newer.auth.getMe({}, bearer(tokens));
  const { tokens: second } = await newer.sessions.refresh({ refreshToken: tokens.refreshToken });
  expect(kidOf(second!)).toBe(kidOf(tokens));
  // A replica without the new master key rejects tokens of it, and does not revoke their session.
  const refusal = await refusalOf(service.clients('json').sessions.refresh({ refreshToken: second!.refreshToken }));
  expect(refusal.reason).toBe('REFRESH_TOKEN_INVALID');
  const { tokens: third } = await newer.sessions.refresh({ refreshToken: second!.refreshToken });
  expect(third!.refreshToken).not.toBe(second!.refreshToken);
  const both = await startReplica(service.database, { MASTER_KEYS: `${testEnv.MASTER_KEYS},${next}` });
  await both.sessions.refresh({ refreshToken: third!.refreshToken });
});

test('the keys that are sealed under a master key which is given up sign nothing more, and the next start creates others', async () => {
  const service = await start();
  const operator = await asOperator(service);
  const { as } = await service.welcome();
  expect(await operator.giveUp('another')).toBe(0);
  expect(await operator.giveUp(service.config.masterKeys[0]!.id)).toBe(2);
  expect((await operator.keys()).map(({ state }) => state)).toEqual(['retired', 'retired']);
  await startReplica(service.database);
  expect((await operator.keys()).map(({ state }) => state)).toEqual(['retired', 'retired', 'active', 'standby']);
  await service.clients('grpc').auth.getMe({}, as);
});

test('a replica older than the database requires does not start', async () => {
  const { database } = await start();
  await database.query('update installation set min_app_version = 2');
  await expect(startReplica(database)).rejects.toThrow(
    'the database requires version 2 of its clients, this is 1; upgrade this replica',
  );
});

test('a replica does not start when LIMITS names an unknown method', async () => {
  const { database } = await start();
  await expect(startReplica(database, { LIMITS: 'AuthService.SignOn=5' })).rejects.toThrow(
    'LIMITS names no limit of this service: AuthService.SignOn (known: OAuth.ClientSecret, AuthService.Register, AuthService.SignIn',
  );
});

/** The key commands of an operator. All replicas read the keys again at once, unless the name says otherwise. */
async function asOperator({ database, config, replicas, now }: TestService) {
  const orm: MikroORM = await openOrm(database.url);
  onTestFinished(() => orm.close(true));
  const masterKeys = new MasterKeys(config.masterKeys);
  const reload = () => Promise.all(replicas.map(({ ring }) => ring.reload()));
  const rotateWithoutReload = () => transact(orm, (em) => rotateKeys(em, masterKeys, { force: true, now: now() }));
  return {
    reload,
    rotateWithoutReload,
    keys: () => listKeys(orm.em.fork()),
    giveUp: (masterKeyId: string) => transact(orm, (em) => retireSealedUnder(em, masterKeyId, now())),
    async rotate() {
      await rotateWithoutReload();
      await reload();
    },
    async revoke(id: string) {
      const found = await transact(orm, (em) => revokeKey(em, masterKeys, id, now()));
      await reload();
      return found;
    },
  };
}

function kidOf({ accessToken }: { accessToken: string }): unknown {
  return partsOf(accessToken).header.kid;
}

function keyMadeOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
