import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { summaryToMessage } from '../../account/message.ts';
import { type AccountSummary, readAccountSummary } from '../../account/usage/account-summary.ts';
import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { change, origin, projectOf, type SessionOfCaller } from '../../rpc/context.ts';
import type { Opened } from '../../session/session-opener.ts';
import { emailKey } from '../../user/email.ts';
import type { ProvedIdentity } from '../../user/identity.ts';
import { userToMessage } from '../../user/message.ts';
import type { User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { signedInToMessage } from '../message.ts';
import { openAndNotify } from '../new-device.ts';
import { padResponseTime } from '../response-padding.ts';
import { recipientOf } from '../user-mail.ts';
import { findOwner, type IdentitySignIn, needsAddress, type Owner } from './identity-owner.ts';
import { type Linked, linkToCaller } from './link.ts';
import { identityToMessage } from './message.ts';

type Kind = 'web' | 'native';

interface SignedIn {
  readonly owner: Owner;
  /** Absent where the address has to be verified first. */
  readonly session?: { readonly opened: Opened; readonly summary: AccountSummary };
}

/**
 * Signs in the user of an identity, in one transaction, as every other sign-in does. Without a verified address where one is
 * needed, no session is opened, and a mail is sent.
 */
export async function signInByIdentity(deps: AuthDeps, signIn: IdentitySignIn, kind: Kind, context: HandlerContext) {
  const { registration, now } = deps;
  const at = now();
  const run = () =>
    change(context, async (em): Promise<SignedIn> => {
      const owner = await findOwner(em, deps, signIn, context, at);
      if (owner.isNew || !owner.user.emailVerifiedAt) await sendProof(em, deps, owner.user, at);
      if (!owner.user.emailVerifiedAt && needsAddress(deps)) return { owner };
      return { owner, session: await openSession(em, deps, owner.user, kind, context, at) };
    });
  // Otherwise the response would reveal whether somebody has registered the address.
  const hides = registration.hideRegistration && !signIn.proved.emailVerified;
  if (!hides) return toMessage(deps, await run(), at);
  const signedIn = await padResponseTime(run).catch(ignoreTakenAddress);
  return signedIn?.session ? toMessage(deps, signedIn, at) : {};
}

function ignoreTakenAddress(thrown: unknown): undefined {
  const isTaken = thrown instanceof Refusal && thrown.options.metadata?.conflict === 'email';
  if (!isTaken) throw thrown;
}

/**
 * Sends the link that verifies the address of a user who has none that is verified. The hourly budget applies, since signing in
 * again sends it again.
 */
async function sendProof(em: EntityManager, { userMail, mailBudget }: AuthDeps, user: User, now: Date): Promise<void> {
  const { projectId, pendingEmail, email, emailVerifiedAt } = user;
  const address = pendingEmail ?? email;
  if (emailVerifiedAt || !address) return;
  const mail = { projectId, kind: 'registration', target: emailKey(address) };
  if (!(await mailBudget.takeOfHour(em, mail, now))) return;
  const kind = pendingEmail ? 'email_change' : 'email_verification';
  await userMail.send(em, { kind, to: { ...recipientOf(user), email: address } }, now);
}

async function openSession(
  em: EntityManager,
  { opener, userMail }: AuthDeps,
  user: User,
  kind: Kind,
  context: HandlerContext,
  now: Date,
) {
  user.lastSignInAt = now;
  const opened = opener.draft({ user, kind, method: 'oauth', origin: origin(context) }, now);
  await opener.makeRoom(em, context, opened.session, now);
  const mail = user.email ? userMail.draftNewDevice(recipientOf(user), opened.session, now) : null;
  await openAndNotify(em, opened.session, mail);
  audit(em, context, { action: 'auth.login', userId: user.id, sessionId: opened.session.id }, now);
  return { opened, summary: await readAccountSummary(em, user.projectId, user.id) };
}

function toMessage({ opener, usage }: AuthDeps, { owner, session }: SignedIn, now: Date) {
  const { user, identity, isNew } = owner;
  const shared = { identity: identityToMessage(identity), userCreated: isNew };
  if (!session) return { user: userToMessage(user, now), ...shared };
  const { opened, summary } = session;
  const placed = { ...opened, account: summary.account };
  return { ...shared, ...signedInToMessage(opener, user, placed, now), account: summaryToMessage(summary, usage, now) };
}

interface Linking {
  readonly proved: ProvedIdentity;
  /** The session that has started the link. Undefined for the caller's. */
  readonly onBehalfOf?: SessionOfCaller;
  /** The user of that session. */
  readonly userId: string;
  /** Opens a session too. */
  readonly kind?: Kind | undefined;
}

/** Links an identity to a user who is signed in. Throws the refusal of a session that is no longer live. */
export async function linkByIdentity(
  deps: AuthDeps,
  { proved, onBehalfOf, userId, kind }: Linking,
  context: HandlerContext,
) {
  const at = deps.now();
  const link = async (em: EntityManager): Promise<Linked & Pick<SignedIn, 'session'>> => {
    const linked = await linkToCaller(em, deps, { userId, proved }, context, at);
    return kind ? { ...linked, session: await openSession(em, deps, linked.user, kind, context, at) } : linked;
  };
  const { session, ...linked } = await change(context, link, onBehalfOf ? { onBehalfOf } : {});
  return toMessage(deps, { owner: { ...linked, isNew: false }, ...(session && { session }) }, at);
}

/** The name under which sign-ins with one identity are counted. */
export function subjectOf(context: HandlerContext, { provider, subject }: ProvedIdentity): string {
  return `${projectOf(context)} ${provider} ${subject}`;
}
