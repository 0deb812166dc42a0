import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { summaryToMessage } from '../account/message.ts';
import { type AccountSummary, readAccountSummary } from '../account/usage/account-summary.ts';
import { audit } from '../audit/event.ts';
import { origin } from '../rpc/context.ts';
import type { SessionKind } from '../session/session.ts';
import type { Opened } from '../session/session-opener.ts';
import { recognizeDevice } from '../session/trusted-device.ts';
import type { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { signedInToMessage } from './message.ts';
import { openAndNotify } from './new-device.ts';
import { recipientOf } from './user-mail.ts';

interface Proved {
  /** Locked by the caller, and allowed to sign in. */
  readonly user: User;
  readonly kind: SessionKind;
  /** The `amr` name. */
  readonly method: string;
  /** The factor that signs in alone, at AAL2. */
  readonly factorId?: string;
  /** Of a device that the user trusts, or empty. */
  readonly trustedDeviceToken?: string;
}

export interface SignedIn {
  readonly user: User;
  readonly opened: Opened;
  readonly summary: AccountSummary;
  /** Whether the device is one that the user trusts. */
  readonly trustedDevice: boolean;
}

/** Opens the session of a user who has proved who they are, in the transaction that used up the proof. */
export async function openSignIn(
  em: EntityManager,
  { opener, userMail }: Pick<AuthDeps, 'opener' | 'userMail'>,
  { user, trustedDeviceToken: token = '', ...proof }: Proved,
  context: HandlerContext,
  now: Date,
): Promise<SignedIn> {
  user.lastSignInAt = now;
  const opened = opener.draft({ user, ...proof, origin: origin(context) }, now);
  await opener.makeRoom(em, context, opened.session, now);
  const mail = user.email ? userMail.draftNewDevice(recipientOf(user), opened.session, now) : null;
  await openAndNotify(em, opened.session, mail);
  audit(em, context, { action: 'auth.login', userId: user.id, sessionId: opened.session.id }, now);
  // A recovery is for a user who may have lost the device to somebody else.
  const mayTrust = token !== '' && proof.method !== 'recovery';
  const trustedDevice = mayTrust && (await recognizeDevice(em, opened.session, token, now));
  return { user, opened, trustedDevice, summary: await readAccountSummary(em, user.projectId, user.id) };
}

/** The response to a sign-in, with the account that the user is in. */
export function signInToMessage(
  { opener, usage }: Pick<AuthDeps, 'opener' | 'usage'>,
  { user, opened, summary, trustedDevice }: SignedIn,
  now: Date,
) {
  const placed = { ...opened, account: summary.account };
  const account = summaryToMessage(summary, usage, now);
  return { account, trustedDevice, ...signedInToMessage(opener, user, placed, now) };
}
