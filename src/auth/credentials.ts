import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService, UpdateCredentialsRequest } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import type { OneTimeKey } from '../one-time/secret.ts';
import { consume } from '../one-time/token.ts';
import { readSettings } from '../project/settings.ts';
import { isRecent, requireAssurance, requireLevel, requireOwnSignIn } from '../rpc/assurance.ts';
import { autocommit, caller, change } from '../rpc/context.ts';
import { readCallingUser } from '../session/caller-lock.ts';
import { trimAddress } from '../text/email-address.ts';
import { byEmail } from '../text/sign-in-providers.ts';
import { emailKey } from '../user/email.ts';
import { ownUserToMessage } from '../user/message.ts';
import { changeMetadata } from '../user/metadata.ts';
import { addProvider } from '../user/providers.ts';
import { findByEmail, lockUser, type User } from '../user/user.ts';
import { establish, sendBothLinks } from './approved-email-change.ts';
import type { AuthDeps } from './deps.ts';
import { tryOwnCode } from './magic-link-code.ts';
import { endByPassword } from './password-change.ts';
import { padResponseTime } from './response-padding.ts';
import type { SiteLink } from './site-link.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'updateCredentials' | 'reauthenticate'>;

/** Seconds since the user authenticated in which a new password needs no code. */
const recentSeconds = 24 * 3600;

export function credentials(deps: AuthDeps): Methods {
  const { now, registration, userMail, mailBudget } = deps;
  return {
    async updateCredentials(request, context) {
      const update = () => updateCredentials(deps, request, context);
      // Its time must not reveal whether the new address is taken.
      const isPadded = registration.hideRegistration && request.email !== undefined;
      const user = await (isPadded ? padResponseTime(update) : update());
      return { user: ownUserToMessage(user, now()) };
    },

    async reauthenticate(_, context) {
      const at = now();
      const { emailKey: target, emailVerifiedAt, ...user } = await readCallingUser(context, at);
      if (!target) throw new Refusal('REGISTRATION_REQUIRED');
      if (!emailVerifiedAt) throw new Refusal('EMAIL_NOT_VERIFIED');
      const counted = { projectId: user.projectId, kind: 'reauthentication', target };
      await change(context, async (em) => {
        const wait = await mailBudget.takeOrWait(em, counted, at);
        if (wait > 0) throw new Refusal('MAIL_LIMIT_REACHED', { retryAfter: wait });
        const to = recipientOf(await lockUser(em, user.projectId, user.id));
        await userMail.send(em, { kind: 'reauthentication', to }, at);
        audit(em, context, { action: 'auth.reauthentication.request' }, at);
      });
      return {};
    },
  };
}

/** What a request changes, checked before the transaction. */
interface Change {
  /** The user's hash as it was when the new one was computed. */
  readonly checkedHash: string | null | undefined;
  readonly newHash: string | undefined;
  /** The value behind the code that allows the new password. */
  readonly proof: OneTimeKey | undefined;
  readonly email: { readonly address: string; readonly isFree: boolean; readonly link: SiteLink } | undefined;
}

async function updateCredentials(
  deps: AuthDeps,
  request: UpdateCredentialsRequest,
  context: HandlerContext,
): Promise<User> {
  const { projectId, userId, sessionId } = caller(context);
  const before = await readCallingUser(context, deps.now());
  const { userMetadata } = request;
  // Refuses a bad value before a code or a password is counted.
  changeMetadata(before, { userMetadata });
  const { autoConfirmEmail, signUp } = await readSettings(autocommit(context), projectId, deps.registration);
  if (before.isAnonymous && request.email !== undefined) requireRegistrable(deps, signUp);
  const wanted = await checkChange(deps, request, before, context);
  const { newHash, proof, email } = wanted;
  if (!newHash && !email && userMetadata === undefined) return before;
  const at = deps.now();
  return change(context, async (em) => {
    const user = await lockUser(em, projectId, userId);
    if (userMetadata !== undefined) {
      Object.assign(user, changeMetadata(user, { userMetadata }), { updatedAt: at });
      audit(em, context, { action: 'auth.profile_update' }, at);
    }
    if (proof && !(await consume(em, 'reauthentication', { projectId, ...proof }, at))) throw wrongCode();
    if (newHash) await setPassword(em, deps, { user, sessionId, ...wanted, newHash }, context, at);
    if (email) await requestAddress(em, deps, { user, ...email, isConfirmed: autoConfirmEmail }, context, at);
    return user;
  });
}

/** A guest who sets an address registers by it. */
function requireRegistrable({ joining }: AuthDeps, signUp: boolean): void {
  if (!signUp) throw new Refusal('SIGN_UP_DISABLED');
  if (joining.requiresInviteCode) throw new Refusal('INVITE_CODE_REQUIRED');
}

async function checkChange(
  deps: AuthDeps,
  request: UpdateCredentialsRequest,
  user: User,
  context: HandlerContext,
): Promise<Change> {
  const isNewAddress = request.email !== undefined && emailKey(request.email) !== user.emailKey;
  // Before the new address is looked up, and counted as a mail.
  if (request.newPassword || isNewAddress) {
    requireLevel(caller(context), { secondFactor: 'if enrolled' });
    requireOwnSignIn(caller(context));
  }
  const email = request.email === undefined ? undefined : await checkAddress(deps, request, user, context);
  if (!request.newPassword) return { email, newHash: undefined, proof: undefined, checkedHash: user.passwordHash };
  if (!user.email && !email) throw new Refusal('REGISTRATION_REQUIRED');
  const proof = await proveRecency(deps, request, user, context);
  return {
    email,
    proof,
    checkedHash: user.passwordHash,
    newHash: await hashOf(deps, request.newPassword, user, context),
  };
}

/** Undefined for a user who authenticated recently, or else the value behind the code. */
async function proveRecency(
  deps: AuthDeps,
  { reauthenticationCode: code }: UpdateCredentialsRequest,
  user: User,
  context: HandlerContext,
): Promise<OneTimeKey | undefined> {
  const at = deps.now();
  const { authenticatedAt } = caller(context);
  if (!deps.registration.securePasswordChange || isRecent(authenticatedAt, recentSeconds, at)) return undefined;
  if (!code) requireAssurance(caller(context), { maxAge: recentSeconds }, at);
  return tryOwnCode(deps, user, code, context);
}

async function hashOf(
  { passwords, passwordChecks }: AuthDeps,
  password: string,
  user: User,
  context: HandlerContext,
): Promise<string> {
  // The comparison reveals whether this is the current password, so it is limited like any check of it.
  await passwordChecks.count(user.id);
  if (user.passwordHash && (await passwords.matches(user.passwordHash, password, context.signal)))
    throw new Refusal('SAME_PASSWORD');
  return passwords.hashNew(password, [user.email ?? '', user.name], context);
}

/** Undefined for the current address. */
async function checkAddress(
  { registration, mailBudget, now, userMail }: AuthDeps,
  { email = '', link: message }: UpdateCredentialsRequest,
  user: User,
  context: HandlerContext,
): Promise<Change['email']> {
  const link = userMail.links.read(message, user.projectId);
  if (!link)
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'link', description: 'is required with an email' }] });
  const target = emailKey(email);
  if (target === user.emailKey) return undefined;
  const holder = await findByEmail(autocommit(context), user.projectId, email);
  if (holder && !registration.hideRegistration) throw new Refusal('EMAIL_ALREADY_REGISTERED');
  const counted = { projectId: user.projectId, kind: 'email_change', target };
  const wait = await mailBudget.takeOrWait(autocommit(context), counted, now());
  if (wait > 0) throw new Refusal('MAIL_LIMIT_REACHED', { retryAfter: wait });
  return { address: trimAddress(email), isFree: !holder, link };
}

interface NewPassword {
  readonly user: User;
  /** The session of the call, which goes on. */
  readonly sessionId: string;
  readonly checkedHash: string | null | undefined;
  readonly newHash: string;
}

async function setPassword(
  em: EntityManager,
  deps: AuthDeps,
  { user, sessionId, checkedHash, newHash }: NewPassword,
  context: HandlerContext,
  at: Date,
): Promise<void> {
  if (user.passwordHash !== checkedHash) throw new Refusal('TRY_AGAIN');
  Object.assign(user, { passwordHash: newHash, mustChangePassword: false, pendingEmail: null, updatedAt: at });
  if (user.email) addProvider(user, byEmail);
  await endByPassword(em, deps, { projectId: user.projectId, userId: user.id, sessionId }, context, at);
  if (user.email) await deps.userMail.notifyPasswordChanged(em, recipientOf(user), at);
  audit(em, context, { action: 'auth.password_change' }, at);
}

interface NewAddress {
  readonly user: User;
  readonly address: string;
  readonly isFree: boolean;
  readonly link: SiteLink;
  /** Whether a new address counts as verified without a mail. */
  readonly isConfirmed: boolean;
}

async function requestAddress(
  em: EntityManager,
  deps: AuthDeps,
  { user, address, isFree, link, isConfirmed }: NewAddress,
  context: HandlerContext,
  at: Date,
): Promise<void> {
  const action = user.isAnonymous && isConfirmed ? 'auth.email_change.complete' : 'auth.email_change.request';
  audit(em, context, { action }, at);
  user.updatedAt = at;
  if (!(user.isAnonymous && isConfirmed)) {
    user.pendingEmail = address;
    await sendBothLinks(em, deps, { user, link, isFree }, at);
    return;
  }
  await establish(em, deps, user, address, at);
}

function wrongCode(): Refusal {
  return new Refusal('OTP_EXPIRED', { event: { action: 'auth.password_change', cause: 'wrong_code' } });
}
