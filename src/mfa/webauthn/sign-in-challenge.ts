import { randomBytes } from 'node:crypto';
import type { MasterKeys } from '../../crypto/master-keys.ts';

// Random bytes, the time of expiry in milliseconds, and a MAC of both.
const randomLength = 16;
const headLength = randomLength + 8;
const macLength = 32;
const lifetimeMs = 300_000;
const purpose = 'passkey sign-in';

export interface SignInChallenge {
  /** Under which its use is recorded. */
  readonly id: string;
  /** What the authenticator signs. */
  readonly bytes: Buffer;
  readonly expiresAt: Date;
}

/** A challenge for a sign-in page. Nothing is stored for it, however many pages are opened: its MAC proves its origin. */
export function mintSignInChallenge(keys: MasterKeys, projectId: string, now: Date): SignInChallenge {
  const head = Buffer.concat([randomBytes(randomLength), Buffer.alloc(8)]);
  head.writeBigUInt64BE(BigInt(now.getTime() + lifetimeMs), randomLength);
  return read(Buffer.concat([head, keys.mac(purpose, described(projectId, head))]));
}

/** The challenge that an authenticator has signed. Undefined unless it is from here and has not expired. */
export function readSignInChallenge(
  keys: MasterKeys,
  projectId: string,
  signed: unknown,
  now: Date,
): SignInChallenge | undefined {
  if (typeof signed !== 'string') return undefined;
  const bytes = Buffer.from(signed, 'base64url');
  if (bytes.length !== headLength + macLength || bytes.toString('base64url') !== signed) return undefined;
  const head = bytes.subarray(0, headLength);
  if (!keys.isMac(purpose, described(projectId, head), bytes.subarray(headLength))) return undefined;
  const challenge = read(bytes);
  return challenge.expiresAt > now ? challenge : undefined;
}

function read(bytes: Buffer): SignInChallenge {
  const id = bytes.toString('hex', 0, randomLength).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { id, bytes, expiresAt: new Date(Number(bytes.readBigUInt64BE(randomLength))) };
}

function described(projectId: string, head: Buffer): string {
  return `${projectId} ${head.toString('base64url')}`;
}
