import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService, RegisterRequest } from '../../gen/gatehouse/v1/auth_pb.ts';
import { type Admission, provesMailbox } from '../account/invites/joining.ts';
import { summaryToMessage } from '../account/message.ts';
import { readAccountSummary } from '../account/usage/account-summary.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { readSettings } from '../project/settings.ts';
import type { Recorded } from '../request-id/request-ids.ts';
import { autocommit, callerIfAny, change, changeAlone, origin, projectOf, type UserCaller } from '../rpc/context.ts';
import type { Origin } from '../rpc/origin.ts';
import { revokeSessions } from '../session/revocation.ts';
import { type Renewed, renewSession } from '../session/secret-renewal.ts';
import { explainTakenAddress } from '../user/email.ts';
import { userToMessage } from '../user/message.ts';
import { changeMetadata, noMetadata } from '../user/metadata.ts';
import { createUser, findUser, mayActAt, type Registration, User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { registerHidden } from './hidden-registration.ts';
import { renewedToMessage, signedInToMessage } from './message.ts';
import { firstLink, firstSignIn, isLinkSent, type Registrant, registerUser } from './register-user.ts';
import { type KeptRegistration, keptOf, type Registered, repeatRegistration } from './repeated-registration.ts';
import type { SiteLink } from './site-link.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'register'>;

export function register(deps: AuthDeps): Methods {
  const { now, requestIds, opener, usage } = deps;
  return {
    async register(request, context) {
      const registered = await requestIds.once<Registered | undefined, KeptRegistration>(context, request, {
        isPublic: true,
        run: (recorded) => registerNew(deps, request, recorded, context),
        repeat: (kept) => repeatRegistration(deps, kept, request.password, context),
      });
      if (!registered) return {};
      const { user, summary, opened, renewed } = registered;
      const at = now();
      const account = summaryToMessage(summary, usage, at);
      if (opened) return { account, ...signedInToMessage(opener, user, { ...opened, account: summary.account }, at) };
      const continued = renewed ? renewedToMessage(opener, user.projectId, renewed, at) : {};
      return { account, user: userToMessage(user, at), ...continued };
    },
  };
}

/** Undefined with HIDE_REGISTRATION. */
async function registerNew(
  deps: AuthDeps,
  { email, password, name, accountInviteCode, inviteCode, userMetadata, link: message, requestId }: RegisterRequest,
  recorded: Recorded,
  context: HandlerContext,
): Promise<Registered | undefined> {
  const { now, passwords, registration } = deps;
  const projectId = projectOf(context);
  const settings = await readSettings(autocommit(context), projectId, registration);
  if (!settings.signUp) throw new Refusal('SIGN_UP_DISABLED');
  const caller = callerIfAny(context);
  // Refused before the hash is computed.
  const metadata = changeMetadata(noMetadata, { userMetadata });
  const passwordHash = await passwords.hashNew(password, [email, name], context);
  const link = deps.userMail.links.read(message, projectId);
  const draft = { projectId, email, name, passwordHash, ...metadata };
  const invitation = { projectId, email, accountInviteCode, inviteCode };
  if (registration.hideRegistration) {
    await registerHidden(deps, { draft, invitation, link, recorded }, context);
    return undefined;
  }
  const guest = caller?.isGuest ? caller : undefined;
  const registrant = { draft, settings, link };
  const at = now();
  // A statement that commits by itself saves two round trips. The rest needs a transaction.
  if (!caller && !accountInviteCode && !inviteCode && requestId === undefined) {
    const alone = { ...registrant, ...deps.joining.admitWithoutCode() };
    return changeAlone(context, (on) => registerUser(on, deps, alone, context, at));
  }
  const effect = async (em: EntityManager): Promise<Registered> => {
    const admission = await deps.joining.admit(em, invitation, at);
    if (guest || 'invite' in admission)
      return registerInSteps(em, deps, { ...registrant, guest, admission }, context, at);
    return registerUser(em, deps, { ...registrant, ...admission }, context, at);
  };
  return change(context, (em) => recorded(em, () => effect(em), keptOf));
}

interface RegistrantInSteps extends Registrant {
  /** The guest who registers. Undefined when nobody is signed in as a guest. */
  readonly guest: UserCaller | undefined;
  readonly admission: Admission;
}

/**
 * Creates a user who joins an account by invitation, and signs them in when the address needs no proof. Or upgrades the
 * guest, who is signed in already, and renews their session.
 */
async function registerInSteps(
  em: EntityManager,
  deps: AuthDeps,
  { draft, settings, guest, admission, link }: RegistrantInSteps,
  context: HandlerContext,
  at: Date,
): Promise<Registered> {
  const { joining, opener, registration } = deps;
  const isVerified = settings.autoConfirmEmail || provesMailbox(admission);
  const proved = { ...draft, emailVerified: isVerified };
  const user = guest ? await upgradeGuest(em, guest.userId, proved, at) : await createUser(em, proved, at);
  await joining.join(em, user, admission, at);
  audit(em, context, { action: 'auth.register', userId: user.id }, at);
  const summary = await readAccountSummary(em, user.projectId, user.id);
  if (isLinkSent(settings, isVerified)) await sendFirstLink(em, deps, { user, link }, at);
  const maySignIn = isVerified || !registration.requireVerifiedEmail;
  if (guest && maySignIn) return { user, summary, renewed: await renewGuest(em, guest, origin(context), at) };
  if (guest) await revokeSessions(em, { userId: guest.userId }, 'mailbox_unproved', at);
  if (!isVerified) return { user, summary };
  return { user, summary, opened: await opener.open(em, context, firstSignIn(user, context), at) };
}

/**
 * Ends what was handed out before the guest registered: somebody else may have taken a token from the guest, or have given
 * the guest one of their own. The session of the call goes on with new tokens, and all others are revoked.
 */
async function renewGuest(
  em: EntityManager,
  { userId, sessionId }: UserCaller,
  from: Origin,
  at: Date,
): Promise<Renewed> {
  await revokeSessions(em, { userId, except: sessionId }, 'registered', at);
  return renewSession(em, { userId, sessionId }, at, { method: 'password', origin: from });
}

type Upgrade = Pick<
  User,
  'projectId' | 'email' | 'emailKey' | 'emailVerifiedAt' | 'name' | 'passwordHash' | 'updatedAt'
>;

const upgrade = statement<{ id: string }, Upgrade & { guestId: string; metadata: string; providers: string }>(
  'user_upgrade',
  `update users u set is_anonymous = false, email = :email, email_key = :emailKey, email_verified_at = :emailVerifiedAt,
     name = :name, password_hash = :passwordHash, user_metadata = u.user_metadata || :metadata::jsonb,
     providers = :providers::jsonb, pending_email = null, updated_at = :updatedAt
   where u.id = :guestId and u.project_id = :projectId and u.is_anonymous and ${mayActAt('u', ':updatedAt')}
   returning u.id`,
);

/**
 * Makes a guest a registered user, who keeps the id. Of two parallel registrations of one guest the second is
 * TOKEN_SUPERSEDED at the lock of the caller. Throws TRY_AGAIN if the user is no guest any more with a token that is good.
 */
async function upgradeGuest(em: EntityManager, guestId: string, draft: Registration, now: Date): Promise<User> {
  const { projectId, email, emailKey, emailVerifiedAt, name, passwordHash, updatedAt, userMetadata, providers } =
    User.register(draft, now);
  const values = { guestId, projectId, email, emailKey, emailVerifiedAt, name, passwordHash, updatedAt };
  const json = { metadata: JSON.stringify(userMetadata), providers: JSON.stringify(providers) };
  const upgraded = await upgrade(em, { ...values, ...json }).catch(explainTakenAddress);
  if (upgraded.length === 0) throw new Refusal('TRY_AGAIN');
  // Attack: somebody with a token of the guest has asked for an address of their own.
  await voidFor(em, guestId, now);
  return findUser(em, projectId, guestId);
}

async function sendFirstLink(
  em: EntityManager,
  { userMail, mailBudget }: Pick<AuthDeps, 'userMail' | 'mailBudget'>,
  { user, link }: { user: User; link: SiteLink | undefined },
  now: Date,
): Promise<void> {
  const { counted, mail } = firstLink(user, link);
  if (await mailBudget.takeOfHour(em, counted, now)) await userMail.send(em, mail, now);
}
