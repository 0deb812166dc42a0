import { type KeyObject, sign, verify } from 'node:crypto';

/** The order of P-256's group, halved (FIPS 186-5). */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const halfOrder = order / 2n;

/** ES256 for keys that the service has created. An imported key may be one of RSA. */
export type SigningAlgorithm = 'ES256' | 'RS256';

export interface JwtSigner {
  /** The `kid`. */
  readonly id: string;
  readonly algorithm: SigningAlgorithm;
  readonly privateKey: KeyObject;
}

export interface JwtVerifier {
  readonly algorithm: SigningAlgorithm;
  readonly publicKey: KeyObject;
}

/**
 * Signs a JWT with ES256 or RS256 (RFC 7515, RFC 7518 sections 3.3 and 3.4).
 *
 * Not with a library because it is a hot path: node:crypto with a key object costs half of WebCrypto. A test verifies
 * the tokens with jose.
 */
export function signJwt(typ: string, payload: object, { id: kid, algorithm: alg, privateKey }: JwtSigner): string {
  const input = `${encode({ alg, typ, kid })}.${encode(payload)}`;
  const signed = sign('sha256', Buffer.from(input), privateKey);
  return `${input}.${(alg === 'ES256' ? signatureOf(signed) : signed).toString('base64url')}`;
}

export interface ParsedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly input: string;
  readonly signature: Buffer;
}

/** Parses a compact JWS. Undefined unless its base64url is canonical. */
export function parseJwt(token: string): ParsedJwt | undefined {
  const [header, payload, signature, ...rest] = token.split('.');
  if (!header || !payload || !signature || rest.length > 0) return undefined;
  const parsed = { header: decode(header), payload: decode(payload), signature: bytesOf(signature) };
  if (!parsed.header || !parsed.payload || !parsed.signature) return undefined;
  return { ...(parsed as Omit<ParsedJwt, 'input'>), input: `${header}.${payload}` };
}

/**
 * Verifies a signature by the algorithm of the key, which the header has to name too: a key never serves two algorithms
 * (RFC 8725, section 3.1). Of ES256 it refuses any s above half the order: with (r, s) also (r, n - s) verifies, and a list of
 * tokens would miss the second spelling.
 */
export function signatureIsGood(
  { header, input, signature }: ParsedJwt,
  { algorithm, publicKey: key }: JwtVerifier,
): boolean {
  if (header.alg !== algorithm) return false;
  if (algorithm === 'RS256') return verify('sha256', Buffer.from(input), key, signature);
  if (signature.length !== 64 || sOf(signature) > halfOrder) return false;
  return verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/**
 * The 64 bytes of r and s, s in the lower half, from the DER that OpenSSL writes: 30 length 02 length r 02 length s.
 * With the 64 bytes as its own output format, Node takes three times as long to sign.
 */
function signatureOf(der: Buffer): Buffer {
  const startOfS = 6 + der[3]!;
  const signature = Buffer.alloc(64);
  copyNumber(der.subarray(4, 4 + der[3]!), signature.subarray(0, 32));
  copyNumber(der.subarray(startOfS), signature.subarray(32));
  const s = sOf(signature);
  if (s > halfOrder) signature.write((order - s).toString(16).padStart(64, '0'), 32, 'hex');
  return signature;
}

/** A DER number has no leading zeros, except for one where it would otherwise be negative. */
function copyNumber(from: Buffer, to: Buffer): void {
  const bytes = from.subarray(-32);
  bytes.copy(to, 32 - bytes.length);
}

function sOf(signature: Buffer): bigint {
  return BigInt(`0x${signature.toString('hex', 32)}`);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string): Record<string, unknown> | undefined {
  const bytes = bytesOf(part);
  if (!bytes) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function bytesOf(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : undefined;
}
