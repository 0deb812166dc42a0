import { createHash, randomBytes } from 'node:crypto';

/** What a one-time value permits. */
export type OneTimeKind =
  | 'email_verification'
  | 'registration_rejection'
  | 'password_reset'
  | 'email_change'
  | 'magic_link'
  /** Sent to the current address, where a change of address needs the consent of both mailboxes. */
  | 'email_change_approval'
  | 'invite'
  /** A code that a signed-in user types. */
  | 'reauthentication'
  /** A code that a browser exchanges for tokens (PKCE). */
  | 'auth_code';

/** The kinds that have a mail of their own. */
export type MailedKind = Exclude<OneTimeKind, 'registration_rejection' | 'auth_code'>;

// Lets secret scanners recognize a value.
const prefix = 'ghot_';
// 16 bytes of an id and 26 random ones: 56 characters without spare bits, so each value has one spelling.
const shape = /^ghot_[\w-]{56}$/;

/** A presented value as the statements look for it: the user whom it names, and the hash under which it is stored. */
export interface OneTimeKey {
  readonly userId: string;
  readonly hash: Buffer;
}

/**
 * The id of the user and 208 random bits (less 0.05), in base64url behind `ghot_`. Only its hash is stored.
 *
 * The id lets every statement about the value name the user whose row it is. It proves nothing: another user's id in front
 * of the random bits makes another value, which was never issued.
 */
export function mintOneTimeValue(userId: string): string {
  const id = Buffer.from(userId.replaceAll('-', ''), 'hex');
  for (;;) {
    const raw = prefix + Buffer.concat([id, randomBytes(26)]).toString('base64url');
    // A mail program takes a dash or an underscore at the end of a link for punctuation of the text.
    if (!/[-_]$/.test(raw)) return raw;
  }
}

/**
 * Reads a value. Kind and project are hashed with it, so a value is unknown to every other kind and project. Undefined for
 * a text that is not of the minted form.
 */
export function readOneTimeValue(projectId: string, kind: OneTimeKind, raw: string): OneTimeKey | undefined {
  if (!shape.test(raw)) return undefined;
  const id = Buffer.from(raw.slice(prefix.length), 'base64url').toString('hex', 0, 16);
  const hash = createHash('sha256').update(`gatehouse one-time ${kind} ${projectId} ${raw}`).digest();
  return { userId: id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'), hash };
}
