import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { Flow } from '../one-time/flow.ts';
import { forgetConsents, hasConsented } from '../one-time/new-address.ts';
import { voidFor } from '../one-time/token.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { byEmail } from '../text/sign-in-providers.ts';
import { emailKey, explainTakenAddress } from '../user/email.ts';
import { addProvider } from '../user/providers.ts';
import { findByEmail, lockUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { firstProof } from './first-proof.ts';
import { padResponseTime } from './response-padding.ts';
import type { SiteLink } from './site-link.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'resendEmailChange'>;
type Kind = 'email_change' | 'email_change_approval';

/** A change of address that a user, who did not have to give a password, has asked for. */
interface Requested {
  /** Locked. Their pending address is the new one. */
  readonly user: User;
  readonly link: SiteLink;
  /** Whether a mail goes to the new address: nobody else has it. */
  readonly isFree: boolean;
}

/**
 * Sends the value that proves the new mailbox and, to a user with a verified address, the one with which the old mailbox
 * consents. Attack: an access token may be stolen, and no password was asked for.
 */
export async function sendBothLinks(
  em: EntityManager,
  { userMail }: Pick<AuthDeps, 'userMail'>,
  { user, link, isFree }: Requested,
  at: Date,
): Promise<void> {
  await voidFor(em, user.id, at, ['email_change', 'email_change_approval']);
  const needsApproval = user.emailVerifiedAt != null;
  const flow = { needsApproval, newAddress: emailKey(user.pendingEmail!) };
  const to = isFree ? { ...recipientOf(user), email: user.pendingEmail! } : undefined;
  await userMail.send(em, { kind: 'email_change', to, link, flow }, at);
  if (needsApproval) await userMail.send(em, { kind: 'email_change_approval', to: recipientOf(user), link, flow }, at);
}

interface Confirmed {
  /** Locked. */
  readonly user: User;
  readonly kind: Kind;
  /** The address that the used value was sent to, as emailKey spells it. */
  readonly target: string;
  readonly flow: Flow;
}

/**
 * Changes the address of a user once the values of all mailboxes are used. Returns false while one is missing. A guest is
 * a registered user from then on, and owns an account.
 */
export async function confirmMailbox(
  em: EntityManager,
  deps: AuthDeps,
  { user, kind, target, flow }: Confirmed,
  context: HandlerContext,
  at: Date,
): Promise<boolean> {
  const pending = user.pendingEmail;
  const expected = kind === 'email_change' ? pending && emailKey(pending) : user.emailKey;
  if (!pending || expected !== target) throw new Refusal('OTP_EXPIRED');
  const other = kind === 'email_change' ? 'email_change_approval' : 'email_change';
  // An address may have been verified since the value was issued.
  const needsApproval = flow.needsApproval || user.emailVerifiedAt != null;
  if (needsApproval && !(await hasConsented(em, user, { kind: other, newAddress: emailKey(pending) }))) return false;
  const former = recipientOf(user);
  if (user.isAnonymous) await establish(em, deps, user, pending, at);
  else {
    await giveAddress(em, user, pending, at);
    await firstProof(em, deps, { user }, context, at);
    user.emailVerifiedAt = at;
  }
  // The other values were sent to the old address.
  await voidFor(em, user.id, at);
  await forgetConsents(em, user);
  if (former.email) await deps.userMail.notifyEmailChanged(em, former, at);
  audit(em, context, { action: 'auth.email_change.complete', userId: user.id }, at);
  return true;
}

const setAddress = statement<{ id: string }, { userId: string; email: string; emailKey: string; now: Date }>(
  'user_set_address',
  `update users set email = :email, email_key = :emailKey, pending_email = null, updated_at = :now
   where id = :userId returning id`,
);

/** Of two users who prove the same address at once, the unique index lets one have it. */
export async function giveAddress(em: EntityManager, user: User, email: string, at: Date): Promise<void> {
  const key = emailKey(email);
  await setAddress(em, { userId: user.id, email, emailKey: key, now: at }).catch(explainTakenAddress);
  Object.assign(user, { email, emailKey: key, pendingEmail: null, updatedAt: at });
}

/** Makes a guest a registered user with a verified address, who keeps their sessions. */
export async function establish(
  em: EntityManager,
  { joining }: Pick<AuthDeps, 'joining'>,
  user: User,
  email: string,
  at: Date,
): Promise<void> {
  await giveAddress(em, user, email, at);
  Object.assign(user, { isAnonymous: false, emailVerifiedAt: at });
  addProvider(user, byEmail);
  await joining.open(em, user, at);
}

export function emailChangeMails(deps: AuthDeps): Methods {
  return {
    async resendEmailChange({ email, link: message }, context) {
      const link = deps.userMail.links.read(message, projectOf(context))!;
      await padResponseTime(() => resend(deps, email, link, context));
      return {};
    },
  };
}

async function resend(deps: AuthDeps, email: string, link: SiteLink, context: HandlerContext): Promise<void> {
  const { now, mailBudget } = deps;
  const at = now();
  const projectId = projectOf(context);
  const found = await findByEmail(autocommit(context), projectId, email);
  if (!found?.pendingEmail) return;
  const target = emailKey(found.pendingEmail);
  if (!(await mailBudget.take(autocommit(context), { projectId, kind: 'email_change', target }, at))) return;
  const isFree = !(await findByEmail(autocommit(context), projectId, found.pendingEmail));
  await change(
    context,
    async (em) => {
      const user = await lockUser(em, projectId, found.id);
      if (!user.pendingEmail || emailKey(user.pendingEmail) !== target) return;
      await sendBothLinks(em, deps, { user, link, isFree }, at);
      audit(em, context, { action: 'auth.email_change.request', userId: user.id }, at);
    },
    { users: [found.id] },
  );
}
