import type { HandlerContext } from '@connectrpc/connect';
import type { Action } from '../audit/draft.ts';
import { audit, auditFailure } from '../audit/event.ts';
import type { OneTimeKind } from '../one-time/secret.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { findByEmail, isBannedAt, type UserRow } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';
import { recipientOf } from './user-mail.ts';

interface Request {
  readonly kind: OneTimeKind;
  readonly email: string;
  readonly action: Action;
  /** Of a client that wants a code beside the link. */
  readonly clientNonce?: string;
  /** Whether this user is sent one. */
  readonly isFor: (user: UserRow) => boolean;
}

/**
 * Has a one-time value sent to an address that anyone may name.
 *
 * Known, unknown, deleted, banned, over the budget: the statements are the same, and so is what is computed. All that
 * differs is whether two of them find a row to write, and the answer waits until that does not show. So its time tells as
 * little as itself.
 */
export function sendLink(deps: AuthDeps, request: Request, context: HandlerContext): Promise<void> {
  return padResponseTime(() => send(deps, request, context));
}

async function send(deps: AuthDeps, request: Request, context: HandlerContext): Promise<void> {
  const { kind, email, action, isFor, clientNonce } = request;
  const at = deps.now();
  const projectId = projectOf(context);
  const user = await findByEmail(autocommit(context), projectId, email);
  const isMeant = user !== undefined && !user.isAnonymous && !isBannedAt(user, at) && isFor(user);
  // What reaches nobody is counted elsewhere: the owner's budget is for strangers to use up only by mail that they get.
  const target = isMeant ? emailKey(email) : `nobody at ${emailKey(email)}`;
  const passes = await deps.mailBudget.take(autocommit(context), projectId, kind, target, at);
  const to = passes && isMeant ? recipientOf(user) : undefined;
  await change(context, async (em) => {
    await deps.userMail.send(em, kind, to, at, clientNonce);
    if (to) audit(em, context, { action, userId: to.userId }, at);
    else auditFailure(em, context, { action, userId: user?.id, cause: causeOf(user, isMeant) }, at);
  });
}

function causeOf(user: UserRow | undefined, isMeant: boolean): string {
  if (!user) return 'unknown_email';
  return isMeant ? 'limited' : 'not_for_this_user';
}
