import type { HandlerContext } from '@connectrpc/connect';
import type { ActionOn } from '../audit/draft.ts';
import { audit, auditFailure } from '../audit/event.ts';
import type { MailedKind } from '../one-time/secret.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { findByEmail, isBannedAt, type UserRow } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';
import type { SiteLink } from './site-link.ts';
import { recipientOf } from './user-mail.ts';

export interface LinkRequest {
  readonly kind: MailedKind;
  readonly email: string;
  readonly action: ActionOn<'user'>;
  /** Of a client that wants a code as well as the link. */
  readonly clientNonce?: string;
  /** Where the link leads, when it does not lead to the pages of the application. */
  readonly link?: SiteLink | undefined;
  /** Whether this user may be sent such a link. */
  readonly isFor: (user: UserRow) => boolean;
}

/**
 * Sends a one-time value to an address that anybody may name.
 *
 * For a known, unknown, deleted or banned user, within the budget or above it, the same statements run and the same is
 * computed. Only two statements may find a row to write or not; padding hides that difference. So neither the response nor
 * its time reveals whether the address is known.
 */
export function sendLink(deps: AuthDeps, request: LinkRequest, context: HandlerContext): Promise<void> {
  return padResponseTime(() => sendUnpadded(deps, request, context));
}

/** The same, for a caller that pads the response. */
export async function sendUnpadded(deps: AuthDeps, request: LinkRequest, context: HandlerContext): Promise<void> {
  const { kind, email, action, isFor, clientNonce, link } = request;
  const at = deps.now();
  const projectId = projectOf(context);
  const user = await findByEmail(autocommit(context), projectId, email);
  const isMeant = user !== undefined && !user.isAnonymous && !isBannedAt(user, at) && isFor(user);
  // Requests that send no mail are counted under another name: they must not use up the budget of the address.
  const target = isMeant ? emailKey(email) : `nobody at ${emailKey(email)}`;
  const isWithinBudget = await deps.mailBudget.take(autocommit(context), { projectId, kind, target }, at);
  const to = isWithinBudget && isMeant ? recipientOf(user) : undefined;
  await change(context, async (em) => {
    await deps.userMail.send(em, { kind, to, clientNonce, link }, at);
    if (to) audit(em, context, { action, userId: to.userId }, at);
    else auditFailure(em, context, { action, userId: user?.id, cause: causeOf(user, isMeant) }, at);
  });
}

function causeOf(user: UserRow | undefined, isMeant: boolean): string {
  if (!user) return 'unknown_email';
  return isMeant ? 'limited' : 'not_for_this_user';
}
