import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { type AuthService, CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import type { Action } from '../audit/draft.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { autocommit, caller, change, reads } from '../rpc/context.ts';
import { revokeSessions } from '../session/revocation.ts';
import { renewSession } from '../session/secret-renewal.ts';
import { refuseFor } from '../throttle/failed-attempts.ts';
import { userToMessage } from '../user/message.ts';
import { findUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'changePassword'>;

// On the hash that was checked: of two changes at once the second one's current password is no longer current.
const setPassword = statement<{ id: string }>(
  'user_change_password',
  `update users set password_hash = $4, must_change_password = false, pending_email = null, updated_at = $2
   where id = $1 and password_hash = $3 and deleted_at is null returning id`,
);

export function passwordChange(deps: AuthDeps): Methods {
  const { now, passwords, opener, userMail, ownPasswordFailures } = deps;
  return {
    async changePassword({ currentPassword, newPassword, currentSession }, context) {
      const { projectId, userId, sessionId } = caller(context);
      const user = await findUser(reads(context), projectId, userId);
      await requirePassword(deps, user, currentPassword, 'auth.password_change', context);
      if (newPassword.normalize('NFKC') === currentPassword.normalize('NFKC')) throw new Refusal('SAME_PASSWORD');
      const passwordHash = await passwords.hashNew(newPassword, [user.email ?? '', user.name], context.signal);
      const at = now();
      const renewed = await change(context, async (em) => {
        const [changed] = await setPassword(em, [userId, at, user.passwordHash, passwordHash]);
        if (!changed) throw incorrect('auth.password_change');
        await revokeSessions(em, { userId, except: sessionId }, 'password_changed', at);
        await voidFor(em, userId, at, ['password_reset', 'magic_link', 'email_change']);
        await ownPasswordFailures.forget(em, projectId, userId);
        await userMail.tellPasswordChanged(em, recipientOf(user), at);
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

/**
 * Lets pass who knows the user's own password. Throws USE_OAUTH_PROVIDER when there is none,
 * CURRENT_PASSWORD_INCORRECT, and OVER_REQUEST_RATE_LIMIT: whoever has stolen a token must not guess on. Failures are
 * forgotten when the password is changed or reset, not when it is told.
 */
export async function requirePassword(
  { passwords, countGuess, ownPasswordFailures, now }: AuthDeps,
  { id, projectId, passwordHash }: User,
  password: string,
  action: Action,
  context: HandlerContext,
): Promise<void> {
  if (!passwordHash) throw new Refusal('USE_OAUTH_PROVIDER', { metadata: { providers: '' } });
  const guess = ownPasswordFailures.of(projectId, id, '');
  refuseFor(await ownPasswordFailures.waitOf(autocommit(context), guess, now()), 'account');
  await countGuess(id);
  if (await passwords.matches(passwordHash, password, context.signal)) return;
  refuseFor(await ownPasswordFailures.countOnAccount(autocommit(context), guess, guess.strangers, now()), 'account');
  throw incorrect(action);
}

export function incorrect(action: Action): Refusal {
  return new Refusal('CURRENT_PASSWORD_INCORRECT', { event: { action, cause: 'wrong_password' } });
}
