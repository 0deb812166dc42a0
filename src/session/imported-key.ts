import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from 'node:crypto';
import type { SigningAlgorithm } from './jwt.ts';

/** A key of another system, with which this one goes on. */
export interface ImportedKey {
  /** The `kid` in the JWK. Undefined for a JWK without one. */
  readonly id: string | undefined;
  readonly algorithm: SigningAlgorithm;
  readonly privateKey: KeyObject;
}

const [shortestModulus, longestModulus] = [2048, 4096];

/**
 * Reads a private JWK (RFC 7517), or a set with one private key. A set may contain public keys too. Throws an error whose
 * message is a sentence for people, and repeats nothing of the key.
 */
export function readImportedKey(text: string): ImportedKey {
  const jwk = onlyPrivate(parse(text));
  const privateKey = readPrivate(jwk);
  const algorithm = algorithmOf(privateKey);
  if (jwk.alg !== undefined && jwk.alg !== algorithm) throw new Error(`a key for another algorithm than ${algorithm}`);
  requireOnePair(privateKey, jwk);
  return { id: idOf(jwk), algorithm, privateKey };
}

function parse(text: string): JsonWebKey[] {
  const value = readJson(text);
  const isSet = typeof value === 'object' && value !== null && !Array.isArray(value) && 'keys' in value;
  const all: unknown[] = [isSet ? value.keys : value].flat();
  return all.filter((each): each is JsonWebKey => typeof each === 'object' && each !== null);
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
}

/** Keys with a secret of HMAC are no private keys. */
function onlyPrivate(keys: readonly JsonWebKey[]): JsonWebKey {
  const [first, ...others] = keys.filter(({ d }) => d !== undefined);
  if (!first) throw new Error('it has no private key');
  if (others.length > 0) throw new Error('it has several private keys');
  return first;
}

function readPrivate(jwk: JsonWebKey): KeyObject {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' });
  } catch {
    throw new Error('its private key is malformed');
  }
}

/** Clients of Supabase Auth verify these two algorithms, and no others. */
function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SigningAlgorithm {
  const { namedCurve, modulusLength = 0 } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return 'ES256';
  if (asymmetricKeyType !== 'rsa') throw new Error('its key is neither of RSA nor on the curve P-256');
  if (modulusLength < shortestModulus || modulusLength > longestModulus)
    throw new Error(`its modulus does not have ${shortestModulus} to ${longestModulus} bits`);
  return 'RS256';
}

/** The parts of a JWK may be of two keys: then no token would verify. */
function requireOnePair(privateKey: KeyObject, { kty, crv, x, y, n, e }: JsonWebKey): void {
  const jwk = kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y };
  const probe = Buffer.from('gatehouse');
  const isPair = verify(
    'sha256',
    probe,
    createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }),
    sign('sha256', probe, privateKey),
  );
  if (!isPair) throw new Error('its private and its public part do not belong together');
}

function idOf({ kid }: JsonWebKey & { kid?: unknown }): string | undefined {
  if (kid === undefined) return undefined;
  if (typeof kid !== 'string' || !/^([A-Za-z0-9_-]{43}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.test(kid))
    throw new Error('its kid is neither a UUID nor a thumbprint; without one the key gets its thumbprint');
  return kid;
}
