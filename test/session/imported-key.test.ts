import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import { describe, expect, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { transact } from '../../src/database/transaction.ts';
import { readImportedKey } from '../../src/session/imported-key.ts';
import { importKey, rotateKeys } from '../../src/session/key-ring.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type TestService } from '../support/start.ts';
import { confirmed, startSupabase } from '../support/supabase.ts';

const jwkOf = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more });
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const [ofRsa, ofP256, another] = [rsa(2048), ec('P-256'), ec('P-256')];

async function change(service: TestService, work: Parameters<typeof transact>[1]): Promise<void> {
  const orm = await openOrm(service.database.url);
  await transact(orm, work);
  await orm.close();
  for (const { ring } of service.replicas) await ring.reload();
}

const keysOf = ({ config }: TestService) => new MasterKeys(config.masterKeys);

describe.each([
  ['RS256', ofRsa],
  ['ES256', ofP256],
] as const)('an imported key for %s', (algorithm, { privateKey }) => {
  test('signs after a rotation, under its own id, and getClaims verifies its tokens offline', async () => {
    const { client, service, request } = await startSupabase({ env: confirmed, replicas: 2 });
    const older = await service.welcome({ ...ada, email: 'older@example.org' });
    const kid = randomUUID();
    const keys = keysOf(service);
    const imported = readImportedKey(JSON.stringify(jwkOf(privateKey, { kid, alg: algorithm })));
    await change(service, (em) => importKey(em, keys, imported, service.now()));
    const published = (await request('GET', '/.well-known/jwks.json')).body.keys;
    const entry = published.find((each: { kid: string }) => each.kid === kid);
    expect(entry).toMatchObject({ alg: algorithm, use: 'sig', key_ops: ['verify'] });
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi']) expect(entry).not.toHaveProperty(secret);
    await change(service, (em) => rotateKeys(em, keys, { force: true, now: service.now() }).then(() => {}));
    const auth = client();
    const { data } = await auth.signUp(ada);
    const token = data.session!.access_token;
    expect(decodeProtectedHeader(token)).toEqual({ alg: algorithm, typ: 'JWT', kid });
    const requests: string[] = [];
    const { fetch } = globalThis;
    globalThis.fetch = (...args) => {
      requests.push(String(args[0]));
      return fetch(...args);
    };
    const { data: verified, error } = await client()
      .getClaims(token)
      .finally(() => Object.assign(globalThis, { fetch }));
    expect(error).toBeNull();
    expect([verified!.claims.sub, verified!.header.alg]).toEqual([data.user!.id, algorithm]);
    expect(requests.filter((url) => !url.endsWith('/.well-known/jwks.json'))).toEqual([]);
    for (const replica of [0, 1]) {
      const { auth: native } = service.clients('grpc', replica);
      await native.getMe({}, bearer({ accessToken: token }));
      await native.getMe({}, older.as);
      const forged = token.replace(/\.[^.]{4}/, '.e30x');
      expect((await refusalOf(native.getMe({}, bearer({ accessToken: forged })))).reason).toBe('TOKEN_INVALID');
    }
    const config = await request('GET', '/.well-known/openid-configuration');
    expect(config.body.id_token_signing_alg_values_supported).toContain(algorithm);
  });
});

test('a token whose header names another algorithm than its key is refused, although the key has signed it', async () => {
  const { service } = await startSupabase();
  const keys = keysOf(service);
  const imported = readImportedKey(JSON.stringify(jwkOf(ofRsa.privateKey)));
  await change(service, (em) => importKey(em, keys, imported, service.now()));
  const { auth } = service.clients('json');
  const { tokens } = await service.welcome();
  const [, payload] = tokens.accessToken.split('.');
  const { kid } = service.replicas[0]!.ring.jwks().keys.find(({ alg }) => alg === 'RS256')!;
  const signed = (alg: string) => {
    const input = `${Buffer.from(JSON.stringify({ alg, typ: 'JWT', kid })).toString('base64url')}.${payload}`;
    return { accessToken: `${input}.${sign('sha256', Buffer.from(input), ofRsa.privateKey).toString('base64url')}` };
  };
  for (const alg of ['ES256', 'RS512', 'HS256', 'none'])
    expect((await refusalOf(auth.getMe({}, bearer(signed(alg))))).reason, alg).toBe('TOKEN_INVALID');
  await auth.getMe({}, bearer(signed('RS256')));
});

test('the standby key that an imported one replaces is retired, and an id is imported once', async () => {
  const { service } = await startSupabase();
  const keys = keysOf(service);
  const imported = readImportedKey(JSON.stringify({ keys: [jwkOf(ofP256.publicKey), jwkOf(ofP256.privateKey)] }));
  await change(service, (em) => importKey(em, keys, imported, service.now()));
  expect(service.replicas[0]!.ring.states().map(({ state }) => state)).toEqual(['retired', 'active', 'standby']);
  await expect(change(service, (em) => importKey(em, keys, imported, service.now()))).rejects.toThrow(/already/);
});

test('a key that clients cannot use, or that is not one, is refused with the reason', () => {
  const { x, y } = jwkOf(another.publicKey) as { x: string; y: string };
  const faults: [input: unknown, reason: string][] = [
    ['{', 'it is not JSON'],
    ['null', 'it has no private key'],
    [jwkOf(ofRsa.publicKey), 'it has no private key'],
    [{ kty: 'oct', k: 'c2VjcmV0' }, 'it has no private key'],
    [[jwkOf(ofRsa.privateKey), jwkOf(ofP256.privateKey)], 'it has several private keys'],
    [{ kty: 'EC', crv: 'P-256', d: 'x' }, 'its private key is malformed'],
    [jwkOf(ec('P-384').privateKey), 'its key is neither of RSA nor on the curve P-256'],
    [jwkOf(generateKeyPairSync('ed25519').privateKey), 'its key is neither of RSA nor on the curve P-256'],
    [jwkOf(rsa(1024).privateKey), 'its modulus does not have 2048 to 4096 bits'],
    [jwkOf(ofRsa.privateKey, { alg: 'RS512' }), 'a key for another algorithm than RS256'],
    [jwkOf(ofP256.privateKey, { kid: 'a b' }), 'its kid is neither a UUID nor a thumbprint'],
    [jwkOf(ofP256.privateKey, { x, y }), 'its private and its public part do not belong together'],
  ];
  for (const [input, reason] of faults) {
    const text = typeof input === 'string' ? input : JSON.stringify(input);
    expect(() => readImportedKey(text), reason).toThrow(reason);
  }
});
