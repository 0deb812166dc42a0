import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { faultOf } from '../database/sqlstate.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { findByEmail, lockUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { prepareRedemption } from './email-verification.ts';
import { incorrect, requirePassword } from './password-change.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'confirmEmailChange'>;

const moveAddress = statement<{ id: string }>(
  'user_change_email',
  `update users set email = pending_email, email_key = $3, email_verified_at = $2, pending_email = null, updated_at = $2
   where id = $1 returning id`,
);

export function emailChange({ now, userMail }: AuthDeps): Methods {
  return {
    async confirmEmailChange({ token }, context) {
      const redeem = await prepareRedemption('email_change', token, context, now);
      const at = now();
      await change(context, async (em) => {
        const { user_id: userId, target } = await redeem(em, at);
        const user = await lockUser(em, projectOf(context), userId);
        if (!user.pendingEmail || emailKey(user.pendingEmail) !== target)
          throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED');
        await moveTo(em, userId, target, at);
        // They were sent to the address that was left.
        await voidFor(em, userId, at);
        await userMail.tellEmailChanged(em, recipientOf(user), at);
        audit(em, context, { action: 'auth.email_change.complete', userId }, at);
      });
      return {};
    },
  };
}

// Whether the address is still free is for the unique index to say: of two who confirm it at once one gets it.
async function moveTo(em: EntityManager, userId: string, target: string, now: Date): Promise<void> {
  try {
    await moveAddress(em, [userId, now, target]);
  } catch (error) {
    throw faultOf(error) === 'unique' ? new Refusal('EMAIL_ALREADY_REGISTERED', { cause: error }) : error;
  }
}

/** A change of address that its user may make: what is left of it happens within the transaction. */
export type RequestedChange = (em: EntityManager, user: User, at: Date) => Promise<void>;

/**
 * Checks that a user may have their address changed, and answers with what makes it pending. Undefined when it is theirs
 * already and nothing is pending. Throws CURRENT_PASSWORD_REQUIRED, EMAIL_ALREADY_REGISTERED and what requirePassword
 * throws.
 */
export async function requestEmailChange(
  deps: AuthDeps,
  before: User,
  { email, currentPassword }: { email: string; currentPassword: string },
  context: HandlerContext,
): Promise<RequestedChange | undefined> {
  const target = emailKey(email);
  if (target === before.emailKey) return before.pendingEmail ? withdraw : undefined;
  if (before.passwordHash && !currentPassword) throw new Refusal('CURRENT_PASSWORD_REQUIRED');
  await requirePassword(deps, before, currentPassword, 'auth.email_change.request', context);
  const holder = await findByEmail(autocommit(context), before.projectId, email);
  if (holder && !deps.hideRegistration) throw new Refusal('EMAIL_ALREADY_REGISTERED');
  const passes = await deps.mailBudget.take(autocommit(context), before.projectId, 'email_change', target, deps.now());
  return async (em, user, at) => {
    if (user.passwordHash !== before.passwordHash) throw incorrect('auth.email_change.request');
    user.pendingEmail = email.trim();
    const to = { ...recipientOf(user), email: user.pendingEmail };
    // Also where no other is issued: whether the older link still works would tell that the address is taken.
    await voidFor(em, user.id, at, ['email_change']);
    await deps.userMail.send(em, 'email_change', passes && !holder ? to : undefined, at);
    if (passes) await deps.userMail.tellEmailChangeRequested(em, recipientOf(user), at);
    audit(em, context, { action: 'auth.email_change.request' }, at);
  };
}

async function withdraw(em: EntityManager, user: User, at: Date): Promise<void> {
  user.pendingEmail = null;
  await voidFor(em, user.id, at, ['email_change']);
}
