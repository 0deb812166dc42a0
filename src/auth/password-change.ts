import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type AuthService, CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import type { ActionOn } from '../audit/draft.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { voidAttemptsOf } from '../device/void-attempts.ts';
import { Refusal } from '../errors.ts';
import { voidedByPassword, voidFor } from '../one-time/token.ts';
import { autocommit, caller, change, type UserCaller } from '../rpc/context.ts';
import { readCallingUser } from '../session/caller-lock.ts';
import { revokeSessions } from '../session/revocation.ts';
import { renewSession } from '../session/secret-renewal.ts';
import { refuseFor } from '../throttle/failed-attempts.ts';
import { useProvider } from '../user/identity.ts';
import { hasPassword } from '../user/locked-password.ts';
import { userToMessage } from '../user/message.ts';
import type { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'changePassword'>;

// Only while the stored hash is the one that was checked: of two parallel changes the second one's current password is
// no longer current.
const setPassword = statement<
  { id: string },
  { userId: string; checkedHash: string | null; newHash: string; now: Date }
>(
  'user_change_password',
  `update users set password_hash = :newHash, must_change_password = false, pending_email = null, updated_at = :now
   where id = :userId and password_hash is not distinct from :checkedHash and deleted_at is null returning id`,
);

export function passwordChange(deps: AuthDeps): Methods {
  const { now, passwords, opener, userMail } = deps;
  return {
    async changePassword({ currentPassword, newPassword, currentSession }, context) {
      const { projectId, userId, sessionId } = caller(context);
      const user = await readCallingUser(context, now());
      const checkedHash = await requireOldPassword(deps, user, { currentPassword, newPassword }, context);
      const newHash = await passwords.hashNew(newPassword, [user.email ?? '', user.name], context);
      const at = now();
      const renewed = await change(context, async (em) => {
        const [changed] = await setPassword(em, { userId, checkedHash, newHash, now: at });
        if (!changed) throw incorrect('auth.password_change');
        await endByPassword(em, deps, { projectId, userId, sessionId }, context, at);
        await userMail.notifyPasswordChanged(em, recipientOf(user), at);
        audit(em, context, { action: 'auth.password_change' }, at);
        return currentSession === CurrentSession.KEEP ? undefined : renewSession(em, { userId, sessionId }, at);
      });
      Object.assign(user, { mustChangePassword: false, pendingEmail: null });
      const message = userToMessage(user, at);
      if (!renewed) return { user: message };
      const { subject, refreshToken } = renewed;
      return { user: message, tokens: opener.tokensFor(subject, projectId, refreshToken, at) };
    },
  };
}

/** Ends what a new password ends, except the session that has set it. The caller holds the lock of the user's row. */
export async function endByPassword(
  em: EntityManager,
  { ownPasswordFailures }: Pick<AuthDeps, 'ownPasswordFailures'>,
  { projectId, userId, sessionId }: Pick<UserCaller, 'projectId' | 'userId' | 'sessionId'>,
  context: HandlerContext,
  now: Date,
): Promise<void> {
  await revokeSessions(em, { userId, except: sessionId }, 'password_changed', now);
  await voidFor(em, userId, now, voidedByPassword);
  // The session that approved a device may stay as it is.
  await voidAttemptsOf(em, context, { projectId, userId }, null, now);
  await ownPasswordFailures.clear(em, projectId, userId);
}

/** Seconds after SignInWithResetToken in which its session may replace the password without it. */
const recoveryWindow = 600;

/** The stored hash that the change replaces. Throws CURRENT_PASSWORD_REQUIRED, SAME_PASSWORD and what requirePassword throws. */
async function requireOldPassword(
  deps: AuthDeps,
  user: User,
  { currentPassword, newPassword }: { currentPassword: string; newPassword: string },
  context: HandlerContext,
): Promise<string | null> {
  if (!currentPassword) {
    const { recoveredAt } = caller(context);
    const isRecovery = recoveredAt && deps.now().getTime() - recoveredAt.getTime() <= recoveryWindow * 1000;
    if (!isRecovery) throw new Refusal('CURRENT_PASSWORD_REQUIRED');
    return user.passwordHash ?? null;
  }
  const check = { user, password: currentPassword, action: 'auth.password_change' } as const;
  const checkedHash = await requirePassword(deps, check, context);
  if (newPassword.normalize('NFKC') === currentPassword.normalize('NFKC')) throw new Refusal('SAME_PASSWORD');
  return checkedHash;
}

interface PasswordCheck {
  readonly user: User;
  readonly password: string;
  /** The audit event of a failure. */
  readonly action: ActionOn<'user'>;
}

/**
 * Requires a signed-in user's own password, since the access token may be stolen. Returns the stored hash that matched.
 * Throws USE_OAUTH_PROVIDER or PASSWORD_NOT_SET for a user without a password, CURRENT_PASSWORD_INCORRECT, and
 * OVER_REQUEST_RATE_LIMIT after too many attempts. A new password clears the failures. The right password does not: with every
 * check that its owner makes, a thief would get new attempts.
 */
export async function requirePassword(
  { passwords, passwordChecks, ownPasswordFailures, now }: AuthDeps,
  { user, password, action }: PasswordCheck,
  context: HandlerContext,
): Promise<string> {
  const { id, projectId, passwordHash } = user;
  if (!passwordHash || !hasPassword(user)) throw await useProvider(autocommit(context), id);
  const attempt = ownPasswordFailures.attempt(projectId, id, '');
  refuseFor(await ownPasswordFailures.waitOf(autocommit(context), attempt, now()), 'account');
  await passwordChecks.count(id);
  if (await passwords.matches(passwordHash, password, context.signal)) return passwordHash;
  refuseFor(await ownPasswordFailures.countOnAccount(autocommit(context), attempt, now()), 'account');
  throw incorrect(action);
}

export function incorrect(action: ActionOn<'user'>): Refusal {
  return new Refusal('CURRENT_PASSWORD_INCORRECT', { event: { action, cause: 'wrong_password' } });
}
