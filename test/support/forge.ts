import { type KeyObject, sign } from 'node:crypto';
import type { TestService } from './start.ts';

export interface Parts {
  readonly header: Record<string, unknown>;
  readonly claims: Record<string, unknown>;
}

/** The header and the claims of a token, unverified. */
export function partsOf(token: string): Parts {
  const parts = token.split('.').slice(0, 2);
  const [header, claims] = parts.map((each) => JSON.parse(Buffer.from(each, 'base64url').toString()));
  return { header, claims };
}

/** A JWS in compact form. A part may be text that is not JSON. */
export function jws(header: unknown, claims: unknown, signer: (input: Buffer) => Buffer): string {
  const input = [header, claims].map(encode).join('.');
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`;
}

function encode(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

/** Signs as in ES256, except that s may be high. */
export function withKey(key: KeyObject) {
  return (input: Buffer): Buffer => sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
}

/** The order of P-256's group. */
export const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** The other signature of the same value: (r, n - s). */
export function mirrored(signature: Buffer): Buffer {
  const s = order - BigInt(`0x${signature.toString('hex', 32)}`);
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
}

/** The same signature with the lower s. */
export function low(signature: Buffer): Buffer {
  return BigInt(`0x${signature.toString('hex', 32)}`) <= order / 2n ? signature : mirrored(signature);
}

/**
 * The token with some of its header and claims replaced, signed with the service's own key: what can be wrong with such
 * a token is only what it says. A value of undefined takes a member away.
 */
export function resign({ replicas }: Pick<TestService, 'replicas'>, token: string, changes: Partial<Parts>): string {
  const { header, claims } = partsOf(token);
  const signer = withKey(replicas[0]!.ring.signer().privateKey);
  return jws({ ...header, ...changes.header }, { ...claims, ...changes.claims }, (input) => low(signer(input)));
}
