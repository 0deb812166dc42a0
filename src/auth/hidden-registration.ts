import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { spendInviteCode } from '../account/invites/invite-code.ts';
import type { Admission, Invitation, Joining } from '../account/invites/joining.ts';
import { audit, auditFailure } from '../audit/event.ts';
import { insert, insertIfFree } from '../database/insert.ts';
import type { Recorded } from '../request-id/request-ids.ts';
import { autocommit, change } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { type Registration, User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';
import { inSavepoint } from './savepoint.ts';
import type { SiteLink } from './site-link.ts';
import { recipientOf } from './user-mail.ts';

/**
 * Registers an address without revealing whether it was free: only the mail to its owner says so. For a free and a taken
 * address one hash is computed before, the same number of statements runs, and the response time is padded.
 */
export function registerHidden(
  deps: AuthDeps,
  registration: HiddenRegistration,
  context: HandlerContext,
): Promise<void> {
  return padResponseTime(() => registerIfFree(deps, registration, context));
}

interface HiddenRegistration {
  readonly draft: Registration;
  readonly invitation: Invitation;
  readonly link: SiteLink | undefined;
  readonly recorded: Recorded;
}

/** Milliseconds. A registration so soon after the first of the same address is taken for a second click. */
const secondClick = 60_000;

async function registerIfFree(
  { now, userMail, joining, mailBudget }: AuthDeps,
  { draft, invitation, link, recorded }: HiddenRegistration,
  context: HandlerContext,
): Promise<void> {
  const at = now();
  const { projectId } = draft;
  const key = emailKey(draft.email);
  const mail = { projectId, kind: 'register', target: key };
  const isWithinBudget = await mailBudget.take(autocommit(context), mail, at);
  const effect = async (em: EntityManager): Promise<void> => {
    // A new one in each attempt: a retry inserts nothing that the attempt before it has changed.
    const user = User.register(draft, at);
    // For the mail only. Whether the address is free is decided by the unique index, when the user is inserted.
    const holder = await em.findOne(User, { projectId, emailKey: key, deletedAt: null });
    const admission = await admitQuietly(em, joining, invitation, at);
    const isFree = await inSavepoint(em, async () => {
      const isFree = await insertIfFree(em, user);
      if (!isFree) await insert(em, decoyOf(user));
      await joining.join(em, user, admission, at);
      return isFree;
    });
    if (isFree) {
      await userMail.send(em, { kind: 'email_verification', to: recipientOf(user), link }, at);
      audit(em, context, { action: 'auth.register', userId: user.id }, at);
    } else {
      // The invite code is used up as for a free address: if it still worked, that would reveal the difference.
      if ('code' in admission && admission.code)
        await spendInviteCode(em, admission.code, { projectId, emailKey: key });
      const isSecondClick = !holder || at.getTime() - holder.createdAt.getTime() <= secondClick;
      const to = isWithinBudget && !isSecondClick ? recipientOf(holder) : undefined;
      await userMail.notifyAlreadyRegistered(em, to, at);
      auditFailure(em, context, { action: 'auth.register', userId: holder?.id, cause: 'email_taken' }, at);
    }
  };
  // Nothing is kept of the user: a repeat returns the same for a free and a taken address.
  await change(context, (em) =>
    recorded(
      em,
      () => effect(em),
      () => ({}),
    ),
  );
}

/** The same rows as the user's, with a key that no address has. They are discarded again. */
function decoyOf(user: User): User {
  return Object.assign(new User(), user, { emailKey: user.id });
}

/**
 * An account invite is only checked, not accepted: a new member would reveal to the inviter that the address was free. The
 * user accepts it after they have verified the address.
 */
async function admitQuietly(em: EntityManager, joining: Joining, invitation: Invitation, at: Date): Promise<Admission> {
  if (!invitation.accountInviteCode) return joining.admit(em, invitation, at);
  await inSavepoint(em, async () => {
    await joining.admit(em, invitation, at);
    return false;
  });
  return { code: undefined };
}
