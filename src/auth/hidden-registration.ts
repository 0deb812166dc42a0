import type { HandlerContext } from '@connectrpc/connect';
import { audit, auditFailure } from '../audit/event.ts';
import { insertIfFree } from '../database/insert.ts';
import { change, direct } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { type Registration, User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { recipientOf } from './letters.ts';

/** Milliseconds after a registration in which another one of the same address is the same person's second click. */
const secondClick = 60_000;

/**
 * Registers an address without telling whether it was free: that is for the mail to say, which only its owner reads.
 * Either way the same is hashed, and as many statements are sent.
 */
export async function registerQuietly(
  { now, letters, mailBudget, verifyEmail }: AuthDeps,
  registration: Registration,
  context: HandlerContext,
): Promise<void> {
  const at = now();
  const { projectId, email } = registration;
  const key = emailKey(email);
  const passes = await mailBudget.take(direct(context), projectId, 'register', key, at);
  const user = User.register(registration, at);
  await change(context, async (em) => {
    if (await insertIfFree(em, user)) {
      await letters.send(em, 'email_verification', verifyEmail ? recipientOf(user) : undefined, at);
      audit(em, context, { action: 'auth.register', userId: user.id }, at);
      return;
    }
    const holder = await em.findOne(User, { projectId, emailKey: key, deletedAt: null });
    const isOld = holder !== null && at.getTime() - holder.createdAt.getTime() > secondClick;
    await letters.tellAlreadyRegistered(em, passes && isOld ? recipientOf(holder) : undefined, at);
    auditFailure(em, context, { action: 'auth.register', userId: holder?.id, cause: 'email_taken' }, at);
  });
}
