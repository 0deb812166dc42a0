import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { registerPasskey, signInWithPasskey, useSecurityKey } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import {
  attestationOf,
  coseOf,
  type Deviation,
  flags,
  SoftwareAuthenticator,
} from '../support/software-authenticator.ts';
import { start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const [px, py] = [Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')];
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' });
const [qx, qy] = [Buffer.from(p384.x!, 'base64url'), Buffer.from(p384.y!, 'base64url')];
const { n } = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
const weak = Buffer.from(n!, 'base64url');
const e = Buffer.of(1, 0, 1);
const valid = coseOf([
  [1, 2],
  [3, -7],
  [-1, 1],
  [-2, px],
  [-3, py],
]);

const keys: readonly (readonly [what: string, coseKey: Buffer])[] = [
  [
    'RS1',
    coseOf([
      [1, 3],
      [3, -65_535],
      [-1, weak],
      [-2, e],
    ]),
  ],
  [
    'a short RSA key',
    coseOf([
      [1, 3],
      [3, -257],
      [-1, weak],
      [-2, e],
    ]),
  ],
  [
    'an algorithm that was not offered',
    coseOf([
      [1, 2],
      [3, -35],
      [-1, 2],
      [-2, qx],
      [-3, qy],
    ]),
  ],
  [
    'an unknown algorithm',
    coseOf([
      [1, 2],
      [3, -999],
      [-1, 1],
      [-2, px],
      [-3, py],
    ]),
  ],
  [
    'ES256 on another curve',
    coseOf([
      [1, 2],
      [3, -7],
      [-1, 2],
      [-2, qx],
      [-3, qy],
    ]),
  ],
  [
    'a point that is not on the curve',
    coseOf([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, px],
      [-3, px],
    ]),
  ],
  [
    'EdDSA with the key of a P-256 curve',
    coseOf([
      [1, 2],
      [3, -8],
      [-1, 1],
      [-2, px],
      [-3, py],
    ]),
  ],
  [
    'no algorithm',
    coseOf([
      [1, 2],
      [-1, 1],
      [-2, px],
      [-3, py],
    ]),
  ],
  [
    'a further entry',
    coseOf([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, px],
      [-3, py],
      [-4, px],
    ]),
  ],
  [
    'an algorithm as text',
    coseOf([
      [1, 2],
      [3, 'ES256'],
      [-1, 1],
      [-2, px],
      [-3, py],
    ]),
  ],
];

const encodings: readonly (readonly [what: string, deviation: Deviation])[] = [
  ['trailing bytes behind the key', { trailing: Buffer.of(0) }],
  ['announced extensions that are missing', { flip: flags.extensions }],
  ['extensions that are no map', { flip: flags.extensions, trailing: Buffer.of(0x01) }],
  ['bytes behind the extensions', { flip: flags.extensions, trailing: Buffer.from('a000', 'hex') }],
  ['no credential', { flip: flags.attested }],
  ['an id of 1024 bytes', { credentialId: Buffer.alloc(1024, 1) }],
  ['an empty id', { credentialId: Buffer.alloc(0) }],
  ['an indefinite length', { coseKey: Buffer.concat([Buffer.of(0xbf), valid.subarray(1), Buffer.of(0xff)]) }],
  ['a duplicate key', { coseKey: coseTwice() }],
  ['a number that is not in the shortest form', { coseKey: Buffer.concat([Buffer.of(0xb8, 5), valid.subarray(1)]) }],
  ['nesting', { coseKey: Buffer.concat([Buffer.alloc(10_000, 0x81), Buffer.of(0)]) }],
  ['a length that exceeds the data', { coseKey: Buffer.from('bb7fffffffffffffff', 'hex') }],
  ['a long array that is announced', { coseKey: Buffer.from('9affffffff', 'hex') }],
  ['a tag', { coseKey: Buffer.concat([Buffer.of(0xc0), valid]) }],
  [
    'a byte behind the attestation',
    { attestationObject: (data) => Buffer.concat([attestationOf(data), Buffer.of(0)]) },
  ],
  ['a statement that is no map', { attestationObject: (data) => attestationOf(data, 'none', []) }],
  ['an attestation of one item', { attestationObject: () => Buffer.of(0xa0) }],
  ['an attestation of a megabyte', { attestationObject: () => Buffer.alloc(1_000_000, 0x81) }],
];

describe.each(wires)('over %s', (wire) => {
  test('a key that is not valid or was not offered is refused, and leaves no row', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    for (const [what, coseKey] of keys) {
      const refusal = await refusalOf(registerPasskey(clients, as, new SoftwareAuthenticator(), { coseKey }));
      expect([what, refusal.reason, refusal.metadata.check]).toEqual([what, 'PASSKEY_NOT_ACCEPTED', 'public_key']);
    }
    expect(await service.database.query('select id from factors')).toEqual([]);
    await registerPasskey(clients, as, new SoftwareAuthenticator());
  });

  test('an encoding that authenticators do not use is refused soon, and leaves no row', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    for (const [what, deviation] of encodings) {
      const began = performance.now();
      const refusal = await refusalOf(registerPasskey(clients, as, new SoftwareAuthenticator(), deviation));
      expect(performance.now() - began).toBeLessThan(1000);
      expect(['PASSKEY_NOT_ACCEPTED encoding', 'REQUEST_TOO_LARGE undefined'], what).toContain(
        `${refusal.reason} ${refusal.metadata.check}`,
      );
    }
    expect(await service.database.query('select id from factors')).toEqual([]);
  });

  test.each<[check: string, deviation: Deviation]>([
    ['type', { clientData: { type: 'webauthn.get' } }],
    ['origin', { clientData: { origin: 'http://evil.test' } }],
    ['cross_origin', { clientData: { crossOrigin: true } }],
    ['cross_origin', { clientData: { topOrigin: 'http://evil.test' } }],
    ['challenge', { clientData: { challenge: 'AAAA' } }],
    ['rp_id', { rpId: 'evil.test' }],
    ['user_presence', { flip: flags.present }],
    ['backup_flags', { flip: flags.backedUp }],
  ])('a registration is refused for its %s', async (check, deviation) => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const passkey = await refusalOf(registerPasskey(clients, as, device, deviation));
    expect(passkey).toMatchObject({ reason: 'PASSKEY_NOT_ACCEPTED', metadata: { check } });
    const factor = await refusalOf(useSecurityKey(clients, as, device, deviation));
    expect(factor).toMatchObject({ reason: 'MFA_VERIFICATION_FAILED', metadata: { check } });
    expect(await service.database.query('select factor_id from webauthn_credentials')).toEqual([]);
  });

  test('a statement that was not asked for is not read, and no address in it is requested', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const x5c = [Buffer.from('no certificate')];
    const statement = new Map<string, number | Buffer | Buffer[]>([
      ['alg', -7],
      ['sig', Buffer.from('no signature')],
      ['x5c', x5c],
    ]);
    const attestationObject = (data: Buffer) => attestationOf(data, 'packed', statement);
    await registerPasskey(clients, as, device, { attestationObject });
    await signInWithPasskey(clients, device);
  });

  test('extensions that a browser adds are accepted', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const trailing = Buffer.from('a16b6372656450726f7465637402', 'hex');
    await registerPasskey(clients, as, device, { flip: flags.extensions, trailing });
    await signInWithPasskey(clients, device);
  });
});

function coseTwice(): Buffer {
  const again = coseOf([[3, -7]]).subarray(1);
  return Buffer.concat([Buffer.of(0xa6), valid.subarray(1), again]);
}
