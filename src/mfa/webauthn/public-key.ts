import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { type Cbor, readCbor } from './cbor.ts';
import { algorithms } from './relying-party.ts';

// Labels of COSE keys (RFC 9052, section 7, and RFC 9053).
const label = { kty: 1, alg: 3, crv: -1, x: -2, y: -3, n: -1, e: -2 } as const;
const leastRsaBits = 2048;
const mostRsaBits = 4096;

/**
 * Whether a COSE key is one of an offered algorithm, on the curve of that algorithm, and a valid key. A point that is not on
 * the curve is refused here: otherwise the user would notice at the next sign-in.
 */
export function isOfferedKey(key: Cbor): boolean {
  const jwk = key instanceof Map ? jwkOf(key as ReadonlyMap<Cbor, Cbor>) : undefined;
  if (!jwk) return false;
  try {
    const { asymmetricKeyDetails: details } = createPublicKey({ key: jwk, format: 'jwk' });
    const bits = details?.modulusLength;
    return bits === undefined || (bits >= leastRsaBits && bits <= mostRsaBits);
  } catch {
    return false;
  }
}

/** The same for the bytes of a key, as they are stored. */
export function isOfferedKeyEncoded(bytes: Uint8Array): boolean {
  try {
    const [key, end] = readCbor(bytes);
    return end === bytes.length && isOfferedKey(key);
  } catch {
    return false;
  }
}

function jwkOf(key: ReadonlyMap<Cbor, Cbor>): JsonWebKey | undefined {
  const { kty, alg, crv, x, y, n, e } = label;
  const bytesOf = (name: number, length?: number): string | undefined => {
    const value = key.get(name);
    const isBytes = value instanceof Uint8Array && (length === undefined || value.length === length);
    return isBytes ? Buffer.from(value).toString('base64url') : undefined;
  };
  const kind = [kty, alg, crv].map((each) => key.get(each) ?? '').join();
  if (kind === `2,${algorithms.es256},1` && key.size === 5)
    return complete({ kty: 'EC', crv: 'P-256', x: bytesOf(x, 32), y: bytesOf(y, 32) });
  if (kind === `1,${algorithms.eddsa},6` && key.size === 4)
    return complete({ kty: 'OKP', crv: 'Ed25519', x: bytesOf(x, 32) });
  // The label of n is that of the curve in other keys.
  if (key.get(kty) === 3 && key.get(alg) === algorithms.rs256 && key.size === 4)
    return complete({ kty: 'RSA', n: bytesOf(n), e: bytesOf(e) });
  return undefined;
}

function complete(jwk: Record<string, string | undefined>): JsonWebKey | undefined {
  return Object.values(jwk).every((each) => each !== undefined) ? (jwk as JsonWebKey) : undefined;
}
