import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { jws, low, mirrored, partsOf, resign, withKey } from '../support/forge.ts';
import type { TestService } from '../support/start.ts';

type Forgeries = Record<string, string>;

const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** Made from a good access token, tokens that must not be accepted, each for one reason. `url` is the forger's. */
export function forgeries(service: TestService, token: string, url: string): [name: string, token: string][] {
  const groups = { ...algorithms(service, token), ...headers(service, token, url), ...claims(service, token) };
  return Object.entries({ ...groups, ...signatures(service, token), ...spellings(token) });
}

/** RFC 8725, section 3.1: the algorithm is the verifier's choice. */
function algorithms(service: TestService, token: string): Forgeries {
  const { header, claims } = partsOf(token);
  const [key] = service.replicas[0]!.ring.jwks().keys;
  const nothing = () => Buffer.alloc(0);
  const unsigned = ['none', 'None', 'nOnE', 'NONE', '', null, undefined, ['ES256']].map((alg) => [
    `alg ${JSON.stringify(alg)} without a signature`,
    jws({ ...header, alg }, claims, nothing),
  ]);
  const named = ['none', 'HS256', 'ES384', 'es256', 'RS256', 'EdDSA', 'ES256 ', 1].map((alg) => [
    `alg ${JSON.stringify(alg)} with a good signature`,
    resign(service, token, { header: { alg } }),
  ]);
  // The public key taken for the secret of an HMAC.
  const secrets = [JSON.stringify(key), key!.x!, service.replicas[0]!.ring.signer().id].map((secret) => [
    `HS256 with ${secret.slice(0, 12)}`,
    jws({ ...header, alg: 'HS256' }, claims, (input) => createHmac('sha256', secret).update(input).digest()),
  ]);
  return Object.fromEntries([...unsigned, ...named, ...secrets]);
}

function headers(service: TestService, token: string, url: string): Forgeries {
  const { header, claims } = partsOf(token);
  const jwk = { ...stranger.publicKey.export({ format: 'jwk' }), kid: 'stranger', alg: 'ES256' };
  const strange = (more: object) => jws({ ...header, ...more }, claims, signer(stranger.privateKey));
  const ours = (more: Record<string, unknown>) => resign(service, token, { header: more });
  const kids = [
    '../../dev/null',
    "' or 1=1 --",
    url,
    'x'.repeat(10_000),
    '',
    undefined,
    null,
    7,
    ['a'],
    { kid: 'a' },
    '__proto__',
    'constructor',
  ];
  return {
    'another key under our kid': strange({}),
    'another key under its own kid': strange({ kid: 'stranger' }),
    'jwk of the key that signed': strange({ jwk }),
    'jwk and its kid': strange({ jwk, kid: 'stranger' }),
    'jku of the forger': strange({ jku: url, kid: 'stranger' }),
    'x5u of the forger': strange({ x5u: url }),
    x5c: strange({ x5c: [stranger.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')] }),
    'crit that nobody knows': ours({ crit: ['exp2'], exp2: 1 }),
    'crit that is empty': ours({ crit: [] }),
    'b64 false': ours({ b64: false, crit: ['b64'] }),
    'b64 false without crit': ours({ b64: false }),
    ...Object.fromEntries(kids.map((kid) => [`kid ${JSON.stringify(kid)?.slice(0, 30)}`, ours({ kid })])),
    ...Object.fromEntries(
      ['at+jwt', 'jwt', 'JWS', 'ghk+jwt', 'dpop+jwt', 'application/jwt', '', null, undefined].map((typ) => [
        `typ ${JSON.stringify(typ)}`,
        ours({ typ }),
      ]),
    ),
  };
}

function claims(service: TestService, token: string): Forgeries {
  const now = Math.floor(service.now().getTime() / 1000);
  const later = now + 3600;
  const wrong: Record<string, readonly unknown[]> = {
    aud: ['other', 'Authenticated', ['other'], ['authenticated'], [], '', null, undefined],
    iss: [
      'http://gatehouse.test/auth/v1/',
      'http://gatehouse.test',
      'https://gatehouse.test/auth/v1',
      'HTTP://gatehouse.test/auth/v1',
      '',
      null,
      undefined,
    ],
    exp: [undefined, null, `${later}`, later + 0.5, 1e300, 2 ** 53 - 1, -1, 0, [later], true],
    iat: [undefined, null, `${now}`, now + 0.5, 1e300, now + 60, later, -1],
    nbf: [now + 60, later, `${now}`, null],
    jti: [undefined, null, 7],
    sub: [undefined, null, 7, '', 'not-a-uuid', { $ne: '' }],
    token_epoch: [undefined, null, '0', -1, 0.5, 1e300, [0], true],
    session_id: [undefined, null, 7, '', 'not-a-uuid', "' or 1=1 --", ['a']],
  };
  return Object.fromEntries(
    Object.entries(wrong).flatMap(([claim, values]) =>
      values.map((value) => [
        `${claim} ${JSON.stringify(value)}`,
        resign(service, token, { claims: { [claim]: value } }),
      ]),
    ),
  );
}

/** Not an ES256 signature of ours, although some verifiers accept it as one. */
function signatures(service: TestService, token: string): Forgeries {
  const { header, claims } = partsOf(token);
  const key = service.replicas[0]!.ring.signer().privateKey;
  const good = (input: Buffer) => low(withKey(key)(input));
  const spoil = (change: (signature: Buffer) => Buffer) => jws(header, claims, (input) => change(good(input)));
  const zero = Buffer.alloc(32);
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const der = (input: Buffer) => sign('sha256', input, key);
  return {
    'r and s zero': spoil(() => Buffer.alloc(64)),
    'r zero': spoil((each) => Buffer.concat([zero, each.subarray(32)])),
    's zero': spoil((each) => Buffer.concat([each.subarray(0, 32), zero])),
    'high s': spoil(mirrored),
    'r and s all ones': spoil(() => Buffer.alloc(64, 0xff)),
    'r and s swapped': spoil((each) => Buffer.concat([each.subarray(32), each.subarray(0, 32)])),
    'a zero byte before': spoil((each) => Buffer.concat([Buffer.alloc(1), each])),
    'a zero byte after': spoil((each) => Buffer.concat([each, Buffer.alloc(1)])),
    'one byte less': spoil((each) => each.subarray(0, 63)),
    'one bit of it wrong': spoil((each) => each.map((byte, index) => (index === 10 ? byte ^ 1 : byte)) as Buffer),
    'DER instead of raw': jws(header, claims, der),
    'a key of another curve': jws(header, claims, (input) => withKey(p384)(input)),
    'an RSA key': jws(header, claims, (input) => sign('sha256', input, rsa)),
    'a claim changed afterwards': [
      encode(header),
      encode({ ...claims, role: 'service_role' }),
      token.split('.')[2],
    ].join('.'),
    'a header changed afterwards': [encode({ ...header, x: 1 }), ...token.split('.').slice(1)].join('.'),
  };
}

/** Other spellings of the same bytes, and more or less than a token: a token has exactly one spelling. */
function spellings(token: string): Forgeries {
  const [head, body, signature] = token.split('.') as [string, string, string];
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  // 64 bytes take 86 letters, whose last four bits mean nothing.
  const last = letters[letters.indexOf(signature.at(-1)!) ^ 1]!;
  const cut = [1, 2, 3, 4, 10, 40, 85, 86].map((n) => [`${n} letters less`, token.slice(0, -n)]);
  return {
    ...Object.fromEntries(cut),
    'other bits where none count': `${head}.${body}.${signature.slice(0, -1)}${last}`,
    'padding behind': `${token}==`,
    'a dot behind': `${token}.`,
    'a dot before': `.${token}`,
    'a dot doubled': `${head}..${body}.${signature}`,
    'two dots only': '..',
    'no signature': `${head}.${body}.`,
    'no claims': `${head}..${signature}`,
    'five parts': `${head}.${body}.${signature}.${body}.${signature}`,
    'base64 instead of base64url': `${head}.${body}.${Buffer.from(signature, 'base64url').toString('base64')}`,
    'claims that are no object': `${head}.${encode(['a'])}.${signature}`,
    'claims that are no JSON': `${head}.${Buffer.from('{').toString('base64url')}.${signature}`,
    'a header that is null': `${encode(null)}.${body}.${signature}`,
  };
}

function signer(key: KeyObject) {
  return (input: Buffer): Buffer => low(withKey(key)(input));
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
