import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { audit } from '../audit/event.ts';
import { recipientOf, type UserMail } from '../auth/user-mail.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { change, projectOf } from '../rpc/context.ts';
import type { MailBudget } from '../throttle/mail-budget.ts';
import { lockUser, type User } from '../user/user.ts';

export interface PasswordResetDeps {
  readonly now: Clock;
  readonly userMail: UserMail;
  readonly mailBudget: MailBudget;
}

export function passwordResetMethods({ now, userMail, mailBudget }: PasswordResetDeps) {
  return {
    async sendPasswordReset({ userId }, context) {
      if (userMail.isOff) throw new Refusal('MAIL_DISABLED');
      const at = now();
      await change(context, async (em) => {
        const user = await reachableUser(em, userId, context, at);
        // The same budget as for those who ask themselves: another mail would only void the link that they wait for.
        const mail = { projectId: user.projectId, kind: 'password_reset', target: user.emailKey! };
        const wait = await mailBudget.takeOrWait(em, mail, at);
        if (wait > 0) throw new Refusal('MAIL_LIMIT_REACHED', { retryAfter: wait });
        await userMail.send(em, { kind: 'password_reset', to: recipientOf(user) }, at);
        audit(em, context, { action: 'user.send_password_reset', userId: user.id }, at);
      });
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

/** The user, locked: the address is theirs until the mail is in the outbox. A link is of no use while they are banned. */
async function reachableUser(em: EntityManager, userId: string, context: HandlerContext, now: Date): Promise<User> {
  const user = await lockUser(em, projectOf(context), userId);
  if (!user.emailKey) throw new Refusal('USER_WITHOUT_EMAIL');
  if (user.isBanned(now)) throw new Refusal('USER_BANNED');
  return user;
}
