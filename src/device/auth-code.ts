import { createHmac, timingSafeEqual } from 'node:crypto';
import type { MasterKeys } from '../crypto/master-keys.ts';

const version = 1;
const macLength = 32;
const idLength = 16;

/** The contents of an auth code, once its MAC was verified. */
export interface AuthCode {
  readonly attemptId: string;
  readonly fingerprintId: string;
  readonly expiresAt: Date;
}

const shape = /^([A-Za-z0-9_-]{1,128})\.([1-9]\d{12})\.([A-Za-z0-9_-]{1,400})$/;

/**
 * An auth code is the fingerprint, the milliseconds since 1970 at which it expires, and a seal, with dots between them. The
 * seal is version | key id | attempt id | MAC, in base64url.
 *
 * Attack: of a MAC over texts that follow each other without a separator, the end of the fingerprint could be moved into the
 * expiry. Each part of what the MAC covers has its length before it.
 */
export function mintAuthCode(keys: MasterKeys, projectId: string, code: AuthCode): string {
  const keyId = Buffer.from(keys.activeId);
  const id = Buffer.from(code.attemptId.replaceAll('-', ''), 'hex');
  const mac = macOf(keys, projectId, { ...parts(code), keyId, id })!;
  const seal = Buffer.concat([Buffer.of(version, keyId.length), keyId, id, mac]).toString('base64url');
  return `${code.fingerprintId}.${code.expiresAt.getTime()}.${seal}`;
}

/** Parses and verifies a code. Undefined unless this installation minted it, character for character, for this project. */
export function readAuthCode(keys: MasterKeys, projectId: string, text: string): AuthCode | undefined {
  const [, fingerprintId, expiry, seal] = shape.exec(text) ?? [];
  if (!fingerprintId || !expiry || !seal) return undefined;
  const bytes = Buffer.from(seal, 'base64url');
  // base64url has several spellings of the same bytes. Only the canonical one is accepted.
  if (bytes.toString('base64url') !== seal || bytes[0] !== version) return undefined;
  const start = 2 + (bytes[1] ?? 0);
  if (bytes.length !== start + idLength + macLength) return undefined;
  const keyId = bytes.subarray(2, start);
  const id = bytes.subarray(start, start + idLength);
  const mac = macOf(keys, projectId, { fingerprintId, expiry, keyId, id });
  if (!mac || !timingSafeEqual(mac, bytes.subarray(-macLength))) return undefined;
  const attemptId = id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { attemptId, fingerprintId, expiresAt: new Date(Number(expiry)) };
}

interface Covered {
  readonly fingerprintId: string;
  readonly expiry: string;
  readonly keyId: Buffer;
  readonly id: Buffer;
}

function parts({ fingerprintId, expiresAt }: AuthCode) {
  return { fingerprintId, expiry: `${expiresAt.getTime()}` };
}

/** Undefined when the key is unknown. A key that is no longer the active one still verifies. */
function macOf(keys: MasterKeys, projectId: string, { fingerprintId, expiry, keyId, id }: Covered): Buffer | undefined {
  const key = keys.macKey('auth code', keyId.toString());
  if (!key) return undefined;
  const mac = createHmac('sha256', key);
  for (const part of [Buffer.of(version), keyId, Buffer.from(projectId), id, fingerprintId, expiry]) {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    mac.update(length).update(bytes);
  }
  return mac.digest();
}
