import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type AccountSummary, readAccountSummary } from '../account/usage/account-summary.ts';
import { audit } from '../audit/event.ts';
import { origin } from '../rpc/context.ts';
import type { SessionKind } from '../session/session.ts';
import type { Opened } from '../session/session-opener.ts';
import type { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { openAndNotify } from './new-device.ts';
import { recipientOf } from './user-mail.ts';

interface MailSignIn {
  /** Locked. */
  readonly user: User;
  readonly kind: Extract<SessionKind, 'web' | 'native'>;
  /** The name in `amr`. */
  readonly method: string;
}

/** A session that was opened, and the account in which the user is. */
export interface SignedInByMail {
  readonly user: User;
  readonly opened: Opened;
  readonly summary: AccountSummary;
}

/** Opens a session for a user who has read a mail. */
export async function openByMail(
  em: EntityManager,
  { opener, userMail }: Pick<AuthDeps, 'opener' | 'userMail'>,
  { user, kind, method }: MailSignIn,
  context: HandlerContext,
  at: Date,
): Promise<SignedInByMail> {
  user.lastSignInAt = at;
  const opened = opener.draft({ user, kind, method, origin: origin(context) }, at);
  await opener.makeRoom(em, context, opened.session, at);
  const mail = userMail.draftNewDevice(recipientOf(user), opened.session, at);
  await openAndNotify(em, opened.session, mail);
  audit(em, context, { action: 'auth.login', userId: user.id, sessionId: opened.session.id }, at);
  const summary = await readAccountSummary(em, user.projectId, user.id);
  return { user, opened: { ...opened, account: summary.account }, summary };
}
