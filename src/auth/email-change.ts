import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { requireAssurance } from '../rpc/assurance.ts';
import { autocommit, caller, change, projectOf } from '../rpc/context.ts';
import { trimAddress } from '../text/email-address.ts';
import { emailKey, explainTakenAddress } from '../user/email.ts';
import { hasPassword } from '../user/locked-password.ts';
import { findByEmail, lockUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { redeem, requireRedeemable } from './email-verification.ts';
import { incorrect, requirePassword } from './password-change.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'confirmEmailChange'>;

// Of two users who confirm the same address at once, the unique index lets one have it.
const moveToPending = statement<{ id: string }, { userId: string; emailKey: string; now: Date }>(
  'user_change_email',
  `update users set email = pending_email, email_key = :emailKey, email_verified_at = :now, pending_email = null,
     updated_at = :now
   where id = :userId returning id`,
);

export function emailChange({ now, userMail }: AuthDeps): Methods {
  return {
    async confirmEmailChange({ token }, context) {
      const redeemable = await requireRedeemable('email_change', token, context, now());
      const at = now();
      await change(
        context,
        async (em) => {
          const { user_id: userId, target } = await redeem(em, redeemable, at);
          const user = await lockUser(em, projectOf(context), userId);
          if (!user.pendingEmail || emailKey(user.pendingEmail) !== target)
            throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED');
          await moveToPending(em, { userId, emailKey: target, now: at }).catch(explainTakenAddress);
          // The other values were sent to the old address.
          await voidFor(em, userId, at);
          // A user whom a provider brought may have had no address.
          if (user.email) await userMail.notifyEmailChanged(em, recipientOf(user), at);
          audit(em, context, { action: 'auth.email_change.complete', userId }, at);
        },
        { users: [redeemable.userId] },
      );
      return {};
    },
  };
}

/** A change of address that was admitted, for the transaction that makes it pending. */
export type EmailChange =
  /** The user keeps their address, and the pending one is removed. */
  | { readonly kind: 'withdrawal' }
  | {
      readonly kind: 'request';
      readonly email: string;
      /** The stored hash that the password matched. */
      readonly checkedHash: string;
      readonly isFree: boolean;
      readonly isWithinBudget: boolean;
    };

/**
 * Checks whether a user may change their address. Undefined when the address is theirs already and none is pending. Throws
 * INSUFFICIENT_AAL, CURRENT_PASSWORD_REQUIRED, EMAIL_ALREADY_REGISTERED and what requirePassword throws.
 */
export async function admitEmailChange(
  deps: AuthDeps,
  user: User,
  { email, currentPassword }: { email: string; currentPassword: string },
  context: HandlerContext,
): Promise<EmailChange | undefined> {
  const { mailBudget, registration, now } = deps;
  const target = emailKey(email);
  if (target === user.emailKey) return user.pendingEmail ? { kind: 'withdrawal' } : undefined;
  requireAssurance(caller(context), { secondFactor: 'if enrolled' }, now());
  if (hasPassword(user) && !currentPassword) throw new Refusal('CURRENT_PASSWORD_REQUIRED');
  const check = { user, password: currentPassword, action: 'auth.email_change.request' } as const;
  const checkedHash = await requirePassword(deps, check, context);
  const holder = await findByEmail(autocommit(context), user.projectId, email);
  if (holder && !registration.hideRegistration) throw new Refusal('EMAIL_ALREADY_REGISTERED');
  const mail = { projectId: user.projectId, kind: 'email_change', target };
  const isWithinBudget = await mailBudget.take(autocommit(context), mail, now());
  return { kind: 'request', email: trimAddress(email), checkedHash, isFree: !holder, isWithinBudget };
}

/** Makes an admitted change pending, and sends the link to the new address and a notice to the old one. */
export async function applyEmailChange(
  em: EntityManager,
  { userMail, user, emailChange }: Pick<AuthDeps, 'userMail'> & { user: User; emailChange: EmailChange },
  context: HandlerContext,
  now: Date,
): Promise<void> {
  if (emailChange.kind === 'withdrawal') {
    user.pendingEmail = null;
    return voidFor(em, user.id, now, ['email_change']);
  }
  const { email, checkedHash, isFree, isWithinBudget } = emailChange;
  if (user.passwordHash !== checkedHash) throw incorrect('auth.email_change.request');
  user.pendingEmail = email;
  // Older links are void even when no new one is sent: a link that still works would reveal that the address is taken.
  await voidFor(em, user.id, now, ['email_change']);
  const to = isWithinBudget && isFree ? { ...recipientOf(user), email } : undefined;
  await userMail.send(em, { kind: 'email_change', to }, now);
  if (isWithinBudget) await userMail.notifyEmailChangeRequested(em, recipientOf(user), now);
  audit(em, context, { action: 'auth.email_change.request' }, now);
}
