import { createHash, randomBytes } from 'node:crypto';

/** What a one-time value permits. */
export type OneTimeKind =
  | 'email_verification'
  | 'registration_rejection'
  | 'password_reset'
  | 'email_change'
  | 'magic_link';

// Lets secret scanners recognize a value.
const prefix = 'ghot_';
const shape = /^ghot_[\w-]{32}$/;

/** 192 random bits in base64url behind `ghot_`. Only its hash is stored. */
export function mintOneTimeValue(): string {
  return prefix + randomBytes(24).toString('base64url');
}

/**
 * The hash under which a value is stored. Kind and project are hashed with it, so a value is unknown to every other kind
 * and project. Undefined for a text that is not of the minted form.
 */
export function hashOneTimeValue(projectId: string, kind: OneTimeKind, raw: string): Buffer | undefined {
  if (!shape.test(raw)) return undefined;
  return createHash('sha256').update(`gatehouse one-time ${kind} ${projectId} ${raw}`).digest();
}
