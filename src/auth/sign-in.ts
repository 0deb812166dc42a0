import type { EntityManager } from '@mikro-orm/postgresql';
import type { EventDraft } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/prepared.ts';
import { Refusal } from '../errors.ts';
import { emailKey } from '../user/email.ts';
import type { Passwords } from '../user/password.ts';
import { User } from '../user/user.ts';

interface Credentials {
  readonly projectId: string;
  readonly email: string;
  readonly password: string;
}

/**
 * The user whose address and password these are.
 *
 * Every path costs one hash at the current cost. Throws INVALID_CREDENTIALS for an unknown address, a wrong password and
 * a user without one alike, and USER_BANNED only to who has proved to be that user.
 */
export async function checkPassword(
  em: EntityManager,
  passwords: Passwords,
  { projectId, email, password }: Credentials,
  now: Clock,
  signal: AbortSignal,
): Promise<User> {
  const user = await em.findOne(User, { projectId, emailKey: emailKey(email), deletedAt: null });
  const matches = await passwords.matches(user?.passwordHash, password, signal);
  if (!user) throw new Refusal('INVALID_CREDENTIALS', { event: failed('unknown_email') });
  if (!user.passwordHash) throw new Refusal('INVALID_CREDENTIALS', { event: failed('no_password', user) });
  if (!matches) throw new Refusal('INVALID_CREDENTIALS', { event: failed('wrong_password', user) });
  if (user.isBanned(now())) throw new Refusal('USER_BANNED', { event: failed('banned', user) });
  return user;
}

const signIn = statement<{ id: string }>(
  'user_sign_in',
  `update users set last_sign_in_at = $2, password_hash = coalesce($4, password_hash)
   where id = $1 and deleted_at is null and (banned_until is null or banned_until <= $2) and password_hash in ($3, $4)
   returning id`,
);

/**
 * Notes the sign-in on the user's row, on the condition that the user is still who was checked: while the hash was
 * computed they may have been banned or deleted, or the password changed (another sign-in may also have rehashed it, and
 * then to the same). Holds the row until the transaction ends.
 */
export async function recordSignIn(em: EntityManager, user: User, rehashed: string | null, now: Date): Promise<void> {
  const rows = await signIn(em, [user.id, now, user.passwordHash, rehashed]);
  if (rows.length === 0) throw new Refusal('INVALID_CREDENTIALS', { event: failed('changed_meanwhile', user) });
}

function failed(cause: string, user?: User): EventDraft {
  return { action: 'auth.login_failed', userId: user?.id, cause };
}
