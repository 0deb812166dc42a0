import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import { insertIfFree } from '../../database/insert.ts';
import { Refusal } from '../../errors.ts';
import { readSettings } from '../../project/settings.ts';
import { projectOf } from '../../rpc/context.ts';
import { emailKey } from '../../user/email.ts';
import { findIdentity, type IdentityRow, linkIdentity, noteSeen, type ProvedIdentity } from '../../user/identity.ts';
import { findByEmail, lockUsers, User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { firstProof } from '../first-proof.ts';
import { inSavepoint } from '../savepoint.ts';
import { needsAddress } from './address-proof.ts';
import { identityConflict } from './identity-conflict.ts';
import { mailIdentity } from './identity-mail.ts';
import type { Linked } from './link.ts';

/** A sign-in that a provider has proved. */
export interface IdentitySignIn {
  readonly proved: ProvedIdentity;
  /** For a user who is new. */
  readonly accountInviteCode: string;
  readonly inviteCode: string;
}

export interface Owner extends Linked {
  readonly isNew: boolean;
}

/** How often the search begins again because a concurrent call has changed what it had found. */
const mostRounds = 4;

/**
 * The user who signs in with an identity: the one who has it, the one who has proved the same address, or a new one. The row
 * of a user who exists is locked.
 *
 * The address of a user never changes here, and an identity never moves from one user to another.
 */
export async function findOwner(
  em: EntityManager,
  deps: AuthDeps,
  signIn: IdentitySignIn,
  context: HandlerContext,
  now: Date,
): Promise<Owner> {
  for (let round = 0; round < mostRounds; round++) {
    const owner =
      (await holderOfIdentity(em, signIn.proved, context, now)) ??
      (await holderOfAddress(em, deps, signIn.proved, context, now)) ??
      (await newcomer(em, deps, signIn, context, now));
    if (owner) return owner;
  }
  throw new Refusal('TRY_AGAIN');
}

/** Undefined if nobody has the identity, also if it was unlinked while its user was locked. */
async function holderOfIdentity(
  em: EntityManager,
  proved: ProvedIdentity,
  context: HandlerContext,
  now: Date,
): Promise<Owner | undefined> {
  const projectId = projectOf(context);
  const known = await findIdentity(em, { projectId, ...proved });
  const user = known && (await lockUsers(em, projectId, [known.userId])).get(known.userId);
  if (!user) return undefined;
  requireUnbanned(user, now);
  const identity = await noteSeen(em, known, proved, now);
  return identity && { user, identity, isNew: false };
}

/**
 * The user with the address of the identity, to whom it is linked. Undefined if nobody has the address.
 *
 * Attack: a provider that has not verified the address says what its users want it to say. So nobody is signed in by such an
 * address. And while the user has not proved it either, somebody else may have registered it: what was set until now goes.
 */
async function holderOfAddress(
  em: EntityManager,
  deps: AuthDeps,
  proved: ProvedIdentity,
  context: HandlerContext,
  now: Date,
): Promise<Owner | undefined> {
  const projectId = projectOf(context);
  const found = proved.email === undefined ? undefined : await findByEmail(em, projectId, proved.email);
  if (!found) return undefined;
  if (!proved.emailVerified) throw identityConflict('email', found.id);
  const user = (await lockUsers(em, projectId, [found.id])).get(found.id);
  if (user?.emailKey !== emailKey(proved.email!)) return undefined;
  requireUnbanned(user, now);
  await firstProof(em, deps, { user }, context, now);
  const identity = await linkIdentity(em, user, proved, now);
  if (!identity) return undefined;
  await mailIdentity(em, deps, { user, identity, change: 'linked' }, now);
  audit(em, context, { action: 'identity.link', userId: user.id, entityId: identity.id }, now);
  return { user, identity, isNew: false };
}

/** Undefined if a concurrent call has taken the address or the identity. */
async function newcomer(
  em: EntityManager,
  deps: AuthDeps,
  { proved, accountInviteCode, inviteCode }: IdentitySignIn,
  context: HandlerContext,
  now: Date,
): Promise<Owner | undefined> {
  const { joining, registration } = deps;
  const projectId = projectOf(context);
  const { signUp, autoConfirmEmail } = await readSettings(em, projectId, registration);
  if (!signUp) throw new Refusal('SIGN_UP_DISABLED');
  if (proved.email === undefined && needsAddress(deps)) throw new Refusal('EMAIL_NOT_VERIFIED');
  const user = draft(projectId, proved, proved.emailVerified || autoConfirmEmail, now);
  let identity: IdentityRow | undefined;
  await inSavepoint(em, async () => {
    identity = (await insertIfFree(em, user)) ? await linkIdentity(em, user, proved, now) : undefined;
    return identity !== undefined;
  });
  if (!identity) return undefined;
  const email = user.email ?? '';
  const admission = await joining.admit(em, { projectId, email, accountInviteCode, inviteCode }, now);
  await joining.join(em, user, admission, now);
  audit(em, context, { action: 'auth.register', userId: user.id }, now);
  return { user, identity, isNew: true };
}

/** An address that is not verified is pending: the user does not keep its owner from registering. */
function draft(projectId: string, proved: ProvedIdentity, isVerified: boolean, now: Date): User {
  const { email, name, username } = proved;
  const user = Object.assign(User.guest(projectId, now), {
    isAnonymous: false,
    providers: [proved.provider],
    name: name || username,
    lastSignInAt: now,
  });
  if (email === undefined) return user;
  if (!isVerified) return Object.assign(user, { pendingEmail: email });
  return Object.assign(user, { email, emailKey: emailKey(email), emailVerifiedAt: now });
}

function requireUnbanned(user: User, now: Date): void {
  if (!user.isBanned(now)) return;
  throw new Refusal('USER_BANNED', { event: { action: 'auth.login_failed', userId: user.id, cause: 'banned' } });
}
