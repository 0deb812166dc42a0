import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import type { Autocommit } from '../../database/autocommit.ts';
import { Refusal } from '../../errors.ts';
import { readSettings } from '../../project/settings.ts';
import { projectOf } from '../../rpc/context.ts';
import { findIdentity, type IdentityRow, linkIdentity, noteSeen, type ProvedIdentity } from '../../user/identity.ts';
import { lockUser, type User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { mailLinked } from './identity-mail.ts';

/** Another user has the identity, or an address that the provider has not verified. */
export function identityConflict(conflict: 'identity' | 'email', userId?: string): Refusal {
  const event = { action: 'auth.login_failed', userId, cause: `identity_conflict_${conflict}` } as const;
  return new Refusal('IDENTITY_CONFLICT', { metadata: { conflict }, event });
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
}

/**
 * Links an identity to a signed-in user, in a transaction that has locked their row and checked their session. Both have been
 * proved: the user by the session, the identity by the provider. Addresses need not agree.
 */
export async function linkToCaller(
  em: EntityManager,
  deps: AuthDeps,
  { userId, proved }: { userId: string; proved: ProvedIdentity },
  context: HandlerContext,
  now: Date,
): Promise<Linked> {
  const projectId = projectOf(context);
  const user = await lockUser(em, projectId, userId);
  await requireVerifiedUser(deps, em, user);
  const known = await findIdentity(em, { projectId, ...proved });
  if (known && known.userId !== userId) throw identityConflict('identity', userId);
  // The lock on the user keeps their identities as they are.
  if (known) return { user, identity: (await noteSeen(em, known, proved, now))! };
  const identity = await linkIdentity(em, user, proved, now);
  if (!identity) throw identityConflict('identity', userId);
  await mailLinked(em, deps, { user, identity }, now);
  audit(em, context, { action: 'identity.link', userId, entityId: identity.id }, now);
  return { user, identity };
}
