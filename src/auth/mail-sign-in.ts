import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { readAccountSummary } from '../account/usage/account-summary.ts';
import { audit } from '../audit/event.ts';
import { origin } from '../rpc/context.ts';
import { recognizeDevice } from '../session/trusted-device.ts';
import type { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { firstProof } from './first-proof.ts';
import { openAndNotify } from './new-device.ts';
import { recipientOf } from './user-mail.ts';

interface MailSignIn {
  readonly user: User;
  readonly kind: 'web' | 'native';
  /** The `amr` name. */
  readonly method: 'otp' | 'magiclink' | 'recovery';
  /** Of a device that the user trusts, or empty. */
  readonly trustedDeviceToken?: string;
}

/**
 * Opens a session at AAL1 for a user who has read the mail to their address, whatever factors they have. The caller has used
 * the one-time value up and holds the lock of the user's row.
 */
export async function signInByMail(
  em: EntityManager,
  deps: AuthDeps,
  { user, kind, method, trustedDeviceToken: token = '' }: MailSignIn,
  context: HandlerContext,
  now: Date,
) {
  const { opener, userMail } = deps;
  await firstProof(em, deps, { user }, context, now);
  user.lastSignInAt = now;
  const opened = opener.draft({ user, kind, method, origin: origin(context) }, now);
  await opener.makeRoom(em, context, opened.session, now);
  const mail = userMail.draftNewDevice(recipientOf(user), opened.session, now);
  await openAndNotify(em, opened.session, mail);
  audit(em, context, { action: 'auth.login', userId: user.id, sessionId: opened.session.id }, now);
  const named = { userId: user.id, sessionId: opened.session.id, token };
  const trustedDevice = token !== '' && (await recognizeDevice(em, named, now));
  return { user, opened, trustedDevice, summary: await readAccountSummary(em, user.projectId, user.id) };
}
