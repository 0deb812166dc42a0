import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import type { Autocommit } from '../../database/autocommit.ts';
import { Refusal } from '../../errors.ts';
import { readSettings } from '../../project/settings.ts';
import { projectOf, type SessionOfCaller } from '../../rpc/context.ts';
import type { Renewed } from '../../session/secret-renewal.ts';
import { findIdentity, type IdentityRow, linkIdentity, noteSeen, type ProvedIdentity } from '../../user/identity.ts';
import { lockUser, type User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { registerGuest, requireRegistrable } from './guest-link.ts';
import { identityConflict } from './identity-conflict.ts';
import { mailIdentity } from './identity-mail.ts';

/** Throws IDENTITY_LINKING_DISABLED. */
export function requireLinking({ registration }: Pick<AuthDeps, 'registration'>): void {
  if (!registration.identityLinking) throw new Refusal('IDENTITY_LINKING_DISABLED');
}

/**
 * Throws EMAIL_NOT_VERIFIED for a user who would link an identity without a verified address. Where addresses are not verified
 * by mail, everybody may.
 *
 * Attack: somebody who has registered the address of another person would keep a way to sign in.
 */
export async function requireVerifiedUser(
  { userMail, registration }: Pick<AuthDeps, 'userMail' | 'registration'>,
  on: EntityManager | Autocommit,
  { projectId, emailVerifiedAt }: Pick<User, 'projectId' | 'emailVerifiedAt'>,
): Promise<void> {
  if (emailVerifiedAt || userMail.isOff) return;
  const { emailVerification } = await readSettings(on, projectId, registration);
  if (emailVerification) throw new Refusal('EMAIL_NOT_VERIFIED');
}

export interface Linked {
  readonly user: User;
  readonly identity: IdentityRow;
  /** The session of a guest, who has registered by this. */
  readonly renewed?: Renewed;
}

interface ToLink {
  /** Locked. */
  readonly user: User;
  readonly proved: ProvedIdentity;
}

/** Throws the refusal of an identity that cannot be linked to the user. Returns the one that they have already. */
export async function requireLinkable(em: EntityManager, deps: AuthDeps, { user, proved }: ToLink) {
  requireLinking(deps);
  if (!user.isAnonymous) await requireVerifiedUser(deps, em, user);
  const known = await findIdentity(em, { projectId: user.projectId, ...proved });
  if (known && known.userId !== user.id) throw identityConflict('identity', user.id);
  if (user.isAnonymous) await requireRegistrable(em, deps, { user, proved });
  return known;
}

/**
 * Links an identity to a signed-in user, in a transaction that has locked their row and checked their session. Both have been
 * proved: the user by the session, the identity by the provider. Addresses need not agree. A guest is registered by it.
 */
export async function linkToCaller(
  em: EntityManager,
  deps: AuthDeps,
  { session, proved }: { session: SessionOfCaller; proved: ProvedIdentity },
  context: HandlerContext,
  now: Date,
): Promise<Linked> {
  const { userId } = session;
  const user = await lockUser(em, projectOf(context), userId);
  const known = await requireLinkable(em, deps, { user, proved });
  // The lock on the user keeps their identities as they are.
  if (known) return { user, identity: (await noteSeen(em, known, proved, now))! };
  const identity = await linkIdentity(em, user, proved, now);
  if (!identity) throw identityConflict('identity', userId);
  const renewed = user.isAnonymous && (await registerGuest(em, deps, { user, proved, session }, context, now));
  await mailIdentity(em, deps, { user, identity, change: 'linked' }, now);
  audit(em, context, { action: 'identity.link', userId, entityId: identity.id }, now);
  return { user, identity, ...(renewed && { renewed }) };
}
