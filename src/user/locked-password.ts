import type { User } from './user.ts';

/** Stored in place of a hash: no password matches it, and the user can have a reset link sent. */
export const lockedPassword = '*';

export function hasPassword({ passwordHash }: Pick<User, 'passwordHash'>): boolean {
  return passwordHash != null && passwordHash !== lockedPassword;
}
