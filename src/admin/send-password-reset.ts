import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import { recipientOf } from '../auth/user-mail.ts';
import { Refusal } from '../errors.ts';
import { change, projectOf } from '../rpc/context.ts';
import { lockUser, type User } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';

export function sendPasswordReset({ now, userMail, mailBudget }: AdminDeps): AdminMethods['sendPasswordReset'] {
  return async ({ userId }, context) => {
    if (userMail.isOff) throw new Refusal('MAIL_DISABLED');
    const at = now();
    await change(
      context,
      async (em) => {
        const user = await reachableUser(em, userId, context, at);
        // RequestPasswordReset counts against the same budget: a further mail only voids the link in the one before.
        const mail = { projectId: user.projectId, kind: 'password_reset', target: user.emailKey! };
        const wait = await mailBudget.takeOrWait(em, mail, at);
        if (wait > 0) throw new Refusal('MAIL_LIMIT_REACHED', { retryAfter: wait });
        await userMail.send(em, { kind: 'password_reset', to: recipientOf(user) }, at);
        audit(em, context, { action: 'user.send_password_reset', userId: user.id }, at);
      },
      { users: [userId] },
    );
    return {};
  };
}

/** The user, locked, so that the address stays theirs until the mail is in the outbox. Throws when no link could help. */
async function reachableUser(em: EntityManager, userId: string, context: HandlerContext, now: Date): Promise<User> {
  const user = await lockUser(em, projectOf(context), userId);
  if (!user.emailKey) throw new Refusal('USER_WITHOUT_EMAIL');
  if (user.isBanned(now)) throw new Refusal('USER_BANNED');
  return user;
}
