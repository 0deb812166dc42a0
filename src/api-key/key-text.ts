import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/*
 * The text of an API key: `ghk_live_` or `ghk_test_`, then 43 characters of secret, 22 of the id of its user and 6 of a
 * checksum, all of them letters and digits. Secret scanners find keys by
 *
 *   \bghk_(live|test)_[0-9A-Za-z]{71}\b
 *
 * and drop false matches by the checksum: the CRC-32 of everything before it, as GitHub's tokens have it.
 *
 * The id lets every statement about a key name the user whose row it is. It proves nothing: with another user's id the
 * same secret is another key, which does not exist.
 */

/** Where a key is valid. A key of another environment is refused without a look into the database. */
export type KeyEnvironment = 'live' | 'test';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const base = BigInt(alphabet.length);
const secretLength = 43;
const userLength = 22;
const checksumLength = 6;
const shape = new RegExp(
  `^ghk_(live|test)_[0-9A-Za-z]{${secretLength}}([0-9A-Za-z]{${userLength}})[0-9A-Za-z]{${checksumLength}}$`,
);

/** The characters that are stored and shown of a key: 48 bits of its secret, of 256. */
const prefixLength = 'ghk_live_'.length + 8;

/** What every API key begins with, and no other credential that this service issues. */
export const keyPrefix = 'ghk_';

/** A presented key as the statements look for it: the user whom it names, and the hash under which it is stored. */
export interface KeyName {
  readonly userId: string;
  readonly hash: Buffer;
}

/** The key of a user with this secret of 32 bytes, by default a random one. */
export function composeKey(environment: KeyEnvironment, userId: string, secret: Buffer = randomBytes(32)): string {
  const user = Buffer.from(userId.replaceAll('-', ''), 'hex');
  const text = `${keyPrefix}${environment}_${inBase62(secret, secretLength)}${inBase62(user, userLength)}`;
  return text + checksumOf(text);
}

/** Reads a key. Undefined for a text that no key of this environment has. */
export function readKey(environment: KeyEnvironment, text: string): KeyName | undefined {
  const [, written, user] = shape.exec(text) ?? [];
  if (written !== environment || !user) return undefined;
  if (checksumOf(text.slice(0, -checksumLength)) !== text.slice(-checksumLength)) return undefined;
  const id = fromBase62(user).toString(16).padStart(32, '0');
  // 22 characters can hold a little more than 16 bytes.
  if (id.length > 32) return undefined;
  return { userId: id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'), hash: hashKey(text) };
}

/** SHA-256: the secret has 256 bits, so that there is nothing to guess. */
export function hashKey(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The part of a key that is shown in lists. */
export function shownPrefixOf(text: string): string {
  return text.slice(0, prefixLength);
}

function checksumOf(text: string): string {
  return digits(BigInt(crc32(text)), checksumLength);
}

function inBase62(bytes: Buffer, length: number): string {
  return digits(BigInt(`0x${bytes.toString('hex')}`), length);
}

function digits(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest /= base) text = alphabet[Number(rest % base)] + text;
  return text;
}

function fromBase62(text: string): bigint {
  let value = 0n;
  for (const character of text) value = value * base + BigInt(alphabet.indexOf(character));
  return value;
}
