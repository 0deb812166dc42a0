import type { EntityManager } from '@mikro-orm/postgresql';
import { requireAssurance, requireOwnSignIn } from '../rpc/assurance.ts';
import type { UserCaller } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import { requireVerifiedMailbox } from '../user/verified-mailbox.ts';
import type { DeviceDeps } from './deps.ts';

/**
 * Throws unless the caller may sign a device in. Within `change`, which has locked the caller: the user who is read is the
 * current one.
 *
 * CALLER_NOT_ALLOWED: the session of the caller was approved itself.
 *
 * EMAIL_NOT_VERIFIED: the address is not verified. Attack: a user who registered somebody else's address could otherwise leave a
 * device behind.
 */
export async function requireApprover(
  em: EntityManager,
  { outbox, registration }: Pick<DeviceDeps, 'outbox' | 'registration'>,
  approver: UserCaller,
  isOwnGuest = false,
): Promise<void> {
  requireOwnSignIn(approver);
  // The program is signed in as this user already, who was a guest when it started the login.
  if (isOwnGuest) return;
  const { projectId, userId } = approver;
  const { emailVerifiedAt } = await lockUser(em, projectId, userId);
  await requireVerifiedMailbox(em, { outbox, registration }, { projectId, emailVerifiedAt: emailVerifiedAt ?? null });
}

/** Seconds since the caller authenticated, at most: as the policy of CreateApiKey has it. */
const recently = 600;

/**
 * Throws REAUTHENTICATION_REQUIRED when the caller authenticated too long ago to create an API key. Attack: with a stolen access
 * token somebody could otherwise have a device approved, and keep its key for a year.
 */
export function requireRecentLogin(caller: UserCaller, now: Date): void {
  requireAssurance(caller, { maxAge: recently }, now);
}
