import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { spendInviteCode } from '../account/invites/invite-code.ts';
import type { Admission, Invitation, Joining } from '../account/invites/joining.ts';
import { audit, auditFailure } from '../audit/event.ts';
import { insert, insertIfFree } from '../database/insert.ts';
import { autocommit, change } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { type Registration, User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';
import { recipientOf } from './user-mail.ts';

/** Milliseconds after a registration in which another one of the same address is the same person's second click. */
const secondClick = 60_000;

/**
 * Registers an address without telling whether it was free: that is for the mail to say, which only its owner reads.
 * Either way the same is hashed, as many statements are sent, and the answer waits until their rows do not show.
 */
export function registerQuietly(...call: Parameters<typeof registerIfFree>): Promise<void> {
  return padResponseTime(() => registerIfFree(...call));
}

async function registerIfFree(
  { now, userMail, joining, mailBudget }: AuthDeps,
  registration: Registration,
  invitation: Invitation,
  context: HandlerContext,
): Promise<void> {
  const at = now();
  const { projectId, email } = registration;
  const key = emailKey(email);
  const passes = await mailBudget.take(autocommit(context), projectId, 'register', key, at);
  await change(context, async (em) => {
    // A new one in each attempt: a retry must not insert the user with the key that the attempt before it has set below.
    const user = User.register(registration, at);
    // Only for the mail: whether the address is free is for the index to say.
    const holder = await em.findOne(User, { projectId, emailKey: key, deletedAt: null });
    const admission = await admitQuietly(em, joining, invitation, at);
    await em.execute('savepoint registration');
    if (await insertIfFree(em, user)) {
      await joining.join(em, user, admission, at);
      await em.execute('release savepoint registration');
      await userMail.send(em, 'email_verification', recipientOf(user), at);
      audit(em, context, { action: 'auth.register', userId: user.id }, at);
      return;
    }
    // What a free address would have cost is spent, and taken back. An invite code is used up: whether it still is good
    // would tell.
    await insert(em, Object.assign(user, { emailKey: user.id }));
    await joining.join(em, user, admission, at);
    await em.execute('rollback to savepoint registration');
    if ('code' in admission && admission.code) await spendInviteCode(em, admission.code, { projectId, emailKey: key });
    const isOld = holder !== null && at.getTime() - holder.createdAt.getTime() > secondClick;
    await userMail.tellAlreadyRegistered(em, passes && isOld ? recipientOf(holder) : undefined, at);
    auditFailure(em, context, { action: 'auth.register', userId: holder?.id, cause: 'email_taken' }, at);
  });
}

// An invitation into an account is only looked at: that somebody becomes a member would tell whoever invites. It waits for
// them to accept it once they have proved the address.
async function admitQuietly(em: EntityManager, joining: Joining, invitation: Invitation, at: Date): Promise<Admission> {
  if (!invitation.accountInviteCode) return joining.admit(em, invitation, at);
  await em.execute('savepoint invitation');
  await joining.admit(em, invitation, at);
  await em.execute('rollback to savepoint invitation');
  return { code: undefined };
}
