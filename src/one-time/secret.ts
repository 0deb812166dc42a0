import { createHash, randomBytes } from 'node:crypto';

/** What a value that was sent to somebody lets them do, once. */
export type OneTimeKind = 'email_verification' | 'password_reset' | 'email_change' | 'magic_link';

// For scanners of secrets, and for people who find one somewhere.
const prefix = 'ghot_';
const shape = /^ghot_[\w-]{32}$/;

/** 192 random bits in base64url behind `ghot_`. Only its hash is stored. */
export function mintOneTimeValue(): string {
  return prefix + randomBytes(24).toString('base64url');
}

/**
 * The hash under which a value is stored. Its kind and project are part of it, so that a value means nothing where it
 * was not made for. Undefined for anything that we never mint.
 */
export function hashOneTimeValue(projectId: string, kind: OneTimeKind, raw: string): Buffer | undefined {
  if (!shape.test(raw)) return undefined;
  return createHash('sha256').update(`gatehouse one-time ${kind} ${projectId} ${raw}`).digest();
}
