import { createHmac, hash, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { MasterKeys } from '../crypto/master-keys.ts';

const prefix = 'ghr_';
const version = 2;
const secretLength = 16;
const macLength = 16;
const purpose = 'refresh token';

/** The contents of a refresh token, once its MAC was verified. */
export interface RefreshToken {
  readonly userId: string;
  readonly sessionId: string;
  readonly generation: number;
  /** 128 random bits, the same for all tokens of a session until it is renewed. Only their hash is stored. */
  readonly secret: Buffer;
}

/**
 * A refresh token is version | key id | user id | session id | generation | secret | MAC, in base64url after `ghr_`.
 *
 * It contains its user, so each statement about its session names the user whose row it is. It contains its generation, so
 * a rotation changes one row in place and inserts none. The MAC is verified before the database is read, so made-up tokens
 * cost no query. The row holds only the hash of the secret, so neither the database, nor the server's key, nor both
 * together can produce a token of a live session.
 */
export function mintRefreshToken(keys: MasterKeys, projectId: string, token: RefreshToken): string {
  const keyId = Buffer.from(keys.activeId);
  const body = Buffer.concat([
    Buffer.of(version, keyId.length),
    keyId,
    uuid(token.userId),
    uuid(token.sessionId),
    uint32(token.generation),
    token.secret,
  ]);
  return prefix + Buffer.concat([body, mac(keys.macKey(macPurpose(projectId))!, body)]).toString('base64url');
}

/** Parses and verifies a token. Undefined unless this installation minted it, byte for byte, for this project. */
export function readRefreshToken(keys: MasterKeys, projectId: string, text: string): RefreshToken | undefined {
  const bytes = Buffer.from(text.slice(prefix.length), 'base64url');
  // base64url has several spellings of the same bytes. Only the canonical one after the prefix is accepted.
  if (prefix + bytes.toString('base64url') !== text || bytes[0] !== version) return undefined;
  const start = 2 + (bytes[1] ?? 0);
  if (bytes.length !== start + 16 + 16 + 4 + secretLength + macLength) return undefined;
  const key = keys.macKey(macPurpose(projectId), bytes.toString('utf8', 2, start));
  const body = bytes.subarray(0, -macLength);
  if (!key || !timingSafeEqual(mac(key, body), bytes.subarray(-macLength))) return undefined;
  const generation = bytes.readUInt32BE(start + 32);
  // Above the range of the column.
  if (generation > 0x7fffffff) return undefined;
  return {
    userId: dashed(bytes.toString('hex', start, start + 16)),
    sessionId: dashed(bytes.toString('hex', start + 16, start + 32)),
    generation,
    secret: bytes.subarray(start + 36, start + 36 + secretLength),
  };
}

/** The token that a refresh with this one returns. It depends on this one alone, so a replay returns the same. */
export function successorOf(token: RefreshToken): RefreshToken {
  return { ...token, generation: token.generation + 1 };
}

export function newSessionSecret(): Buffer {
  return randomBytes(secretLength);
}

export function hashSessionSecret(secret: Buffer): Buffer {
  return hash('sha256', secret, 'buffer');
}

const attemptHashLength = 16;

/** An attempt id as the session stores it: 128 bits of its SHA-256. */
export function hashAttemptId(attemptId: string): Buffer {
  return hash('sha256', attemptId, 'buffer').subarray(0, attemptHashLength);
}

function macPurpose(projectId: string): string {
  return `${purpose} ${projectId}`;
}

function mac(key: KeyObject, body: Buffer): Buffer {
  return createHmac('sha256', key).update(body).digest().subarray(0, macLength);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uuid(text: string): Buffer {
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

function dashed(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
