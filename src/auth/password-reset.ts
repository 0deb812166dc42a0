import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { type Reason, Refusal } from '../errors.ts';
import { consume, look, type Seen, voidFor } from '../one-time/token.ts';
import { requireLevel } from '../rpc/assurance.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { revokeSessions } from '../session/revocation.ts';
import { byEmail } from '../text/sign-in-providers.ts';
import { addProvider } from '../user/providers.ts';
import { lockUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { firstProof } from './first-proof.ts';
import { sendLink } from './send-link.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'requestPasswordReset' | 'verifyResetToken' | 'resetPassword'>;

interface ResetValues {
  readonly userId: string;
  /** The address that the link was sent to: it must still be the user's. */
  readonly emailKey: string;
  readonly newHash: string;
  /** Failures at the old password say nothing about the new one. */
  readonly clearedKeys: readonly string[];
  readonly now: Date;
}

const setPassword = statement<{ id: string }, ResetValues>(
  'user_reset_password',
  `with reset as (
     update users set password_hash = :newHash, must_change_password = false, pending_email = null, updated_at = :now
     where id = :userId and email_key = :emailKey and deleted_at is null returning id, project_id
   ), cleared as (
     delete from durable_rate_limits r using reset where r.project_id = reset.project_id and r.key = any(:clearedKeys::text[])
   )
   select id from reset`,
);

export function passwordReset(deps: AuthDeps): Methods {
  const { now, passwords, userMail } = deps;
  return {
    async requestPasswordReset({ email, link: message }, context) {
      const link = userMail.links.read(message, projectOf(context));
      const isFor = ({ passwordHash }: { passwordHash?: string | null | undefined }) =>
        link !== undefined || passwordHash != null;
      const action = 'auth.password_reset.request';
      await sendLink(deps, { kind: 'password_reset', email, action, isFor, link }, context);
      return {};
    },

    async verifyResetToken({ token: raw }, context) {
      const value = { projectId: projectOf(context), raw };
      const seen = await look(autocommit(context), 'password_reset', value, now());
      return seen?.is_good
        ? { valid: true, email: seen.email ?? '', factorRequired: seen.factor_count > 0 }
        : { valid: false };
    },

    async resetPassword({ token: raw, newPassword }, context) {
      if (!raw) throw new Refusal('TOKEN_REQUIRED');
      const projectId = projectOf(context);
      const value = { projectId, raw };
      // Before the hash, which must not be computed for an invented token.
      const seen = await look(autocommit(context), 'password_reset', value, now());
      if (!seen?.is_good) throw refusedToken(seen?.user_id, seen?.state);
      requireNoFactor(seen.factor_count);
      if (!newPassword) throw new Refusal('PASSWORD_REQUIRED');
      const newHash = await passwords.hashNew(newPassword, [seen.email ?? '', seen.name], context);
      const at = now();
      await change(context, async (em) => {
        const used = await consume(em, 'password_reset', value, at);
        if (!used) throw refusedToken(seen.user_id);
        const { user_id: userId, target: emailKey } = used;
        const user = await lockUser(em, projectId, userId);
        if (user.emailKey !== emailKey) throw refusedToken(userId);
        await completeReset(em, deps, { user, emailKey, newHash }, context, at);
      });
      return {};
    },
  };
}

/**
 * Sets the password of a user who has read the mail to their address. The caller holds the lock on the user's row. Throws
 * INSUFFICIENT_AAL for a user with a factor.
 */
export async function completeReset(
  em: EntityManager,
  deps: AuthDeps,
  { user, emailKey, newHash }: { user: User; emailKey: string; newHash: string },
  context: HandlerContext,
  now: Date,
): Promise<void> {
  const { userMail, passwordFailures, ownPasswordFailures } = deps;
  const { id: userId } = user;
  requireNoFactor(user.factorCount);
  const clearedKeys = [...passwordFailures.keysOf(emailKey), ...ownPasswordFailures.keysOf(userId)];
  await setPassword(em, { userId, emailKey, newHash, clearedKeys, now });
  addProvider(user, byEmail);
  await firstProof(em, deps, { user, hasNewPassword: true }, context, now);
  await revokeSessions(em, { userId }, 'password_changed', now);
  await voidFor(em, userId, now);
  await userMail.notifyPasswordChanged(em, recipientOf(user), now);
  audit(em, context, { action: 'auth.password_reset.complete', userId }, now);
}

/**
 * Throws INSUFFICIENT_AAL for a user with a verified factor. Attack: who reads a user's mail has one factor, and must not
 * replace the password without the other. A session that the mail opens leads on to the factor.
 */
export function requireNoFactor(factorCount: number): void {
  requireLevel({ aal: 1, hasFactor: factorCount > 0 }, { secondFactor: 'if enrolled' });
}

/** The refusal of a token that names no reset, or one that is over. */
export function refusedToken(userId: string | undefined, state?: Seen['state']): Refusal {
  const reason: Reason = userId ? 'RESET_TOKEN_USED_OR_EXPIRED' : 'RESET_TOKEN_INVALID';
  const cause = userId ? 'used_or_expired' : 'unknown_token';
  return new Refusal(reason, {
    ...(state && { metadata: { state } }),
    event: { action: 'auth.password_reset.complete', userId, cause },
  });
}
