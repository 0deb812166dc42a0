import { createHash, hkdfSync, randomBytes, randomInt } from 'node:crypto';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { type AttemptKind, kinds } from './kinds.ts';

/** A code that people type. Punctuation and case do not count. */
export interface CodeForm {
  readonly alphabet: string;
  /** Groups of four characters, with dashes between them. */
  readonly groups: number;
}

/** Consonants only, so that a code is no word, without those that look like digits (RFC 8628, section 6.1). 34.5 bits. */
export const userCodes: CodeForm = { alphabet: 'BCDFGHJKLMNPQRSTVWXZ', groups: 2 };

const base32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** Enough for a code that an anonymous caller redeems: 120 bits. */
export const dashboardCodes: CodeForm = { alphabet: base32, groups: 6 };
/** Only with a confirmation of the device that redeems it: 40 bits. */
export const shortDashboardCodes: CodeForm = { alphabet: base32, groups: 2 };

const groupLength = 4;

export function mintCode({ alphabet, groups }: CodeForm): string {
  const group = () => Array.from({ length: groupLength }, () => alphabet[randomInt(alphabet.length)]).join('');
  return Array.from({ length: groups }, group).join('-');
}

/** A typed code as it was issued. Undefined for a text that is not of this form. */
export function readCode({ alphabet, groups }: CodeForm, typed: string): string | undefined {
  const characters = typed
    .normalize('NFKC')
    .toUpperCase()
    .replace(/[\p{P}\p{S}\s]/gu, '');
  if (characters.length !== groups * groupLength) return undefined;
  if (![...characters].every((each) => alphabet.includes(each))) return undefined;
  return characters.replace(/.{4}(?!$)/g, '$&-');
}

const secretShape = /^gh[a-z]{2}_[A-Za-z0-9_-]{43}$/;

/** 256 random bits in base64url, behind a prefix that secret scanners recognize. */
export function mintSecret(prefix: string): string {
  return prefix + randomBytes(32).toString('base64url');
}

/** Whether a text has the form of a secret with this prefix. */
export function isSecret(prefix: string, text: string): boolean {
  return text.startsWith(prefix) && secretShape.test(text);
}

/** The kind that a polling secret names. Undefined for a text that is no polling secret. */
export function kindOfPollingSecret(text: string): AttemptKind | undefined {
  return (Object.keys(kinds) as AttemptKind[]).find((kind) => isSecret(kinds[kind].pollingPrefix, text));
}

/** A polling secret as it is stored. Kind and project are hashed with it. */
export function hashPollingSecret(projectId: string, kind: AttemptKind, secret: string): Buffer {
  return createHash('sha256').update(`gatehouse polling ${kind} ${projectId} ${secret}`).digest();
}

/**
 * A code as it is stored, under each master key, the active one first. With a plain hash, a reader of the table could find
 * a short code by hashing all of them.
 */
export function hashesOfCode(keys: MasterKeys, projectId: string, kind: AttemptKind, code: string): Buffer[] {
  return keys.macs('login code', JSON.stringify([projectId, kind, code]));
}

export function hashNonce(attemptId: string, nonce: string): Buffer {
  return createHash('sha256').update(`gatehouse login nonce ${attemptId} ${nonce}`).digest();
}

/** What a device has when it redeems an attempt. */
export interface Possession {
  /** The polling secret, or the code of a login that is redeemed by its code. */
  readonly secret: string;
  /** Drawn by the client. The service draws one for a client that sends none; then nothing is repeated. */
  readonly nonce: string;
}

/**
 * The secret of what an attempt mints. The device sends both inputs and the database holds neither, so a repeated call
 * derives the same secret, and nothing at rest does.
 */
export function deriveSecret({ secret, nonce }: Possession, attemptId: string, use: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, nonce, `gatehouse login ${use} ${attemptId}`, length));
}
