import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { revokeInvitesBy } from '../account/invites/revoke-account-invite.ts';
import { endUnprovenMemberships } from '../account/unproven-memberships.ts';
import { audit } from '../audit/event.ts';
import { removeAllFactors } from '../mfa/remove-all-factors.ts';
import { voidFor } from '../one-time/token.ts';
import { revokeCredentials } from '../session/revocation.ts';
import { removeUnprovenIdentities } from '../user/identity.ts';
import { lockedPassword } from '../user/locked-password.ts';
import type { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';

interface Proof {
  readonly user: User;
  /** The same transaction has written a new password. */
  readonly hasNewPassword?: boolean;
  /** A backend has written the profile. */
  readonly keepsProfile?: boolean;
}

/**
 * Marks the address as verified, for everything that signs a user in, or lets them choose a password, because they read
 * the mail to it. The caller holds the lock on the user's row.
 *
 * Attack: until this first proof anybody may have registered the address and be waiting for its owner to use the account.
 * So the first proof removes what was set before it: password, sessions, API keys, factors, profile, pending changes, one-time
 * values, identities whose provider has not verified the address, invitations, and whom the user shares accounts with. What a
 * backend decided stays: the role, memberships that it gave,
 * and app_metadata. VerifyEmail is no first proof: its caller may be the one who registered.
 */
export async function firstProof(
  em: EntityManager,
  { joining }: Pick<AuthDeps, 'joining'>,
  { user, hasNewPassword = false, keepsProfile = false }: Proof,
  context: HandlerContext,
  now: Date,
): Promise<void> {
  if (user.emailVerifiedAt) return;
  user.emailVerifiedAt = now;
  if (user.passwordHash && !hasNewPassword) user.passwordHash = lockedPassword;
  user.mustChangePassword = false;
  user.pendingEmail = null;
  if (!keepsProfile) user.clearProfile();
  user.updatedAt = now;
  await revokeCredentials(em, user.id, 'mailbox_proved', now);
  if (await removeAllFactors(em, user)) audit(em, context, { action: 'user.remove_factors', userId: user.id }, now);
  await removeUnprovenIdentities(em, user);
  await voidFor(em, user.id, now);
  await revokeInvitesBy(em, user.id, now);
  for (const { userId, accountId } of await endUnprovenMemberships(em, joining, user, now))
    audit(em, context, { action: 'account.member_remove', userId, entityId: accountId }, now);
}
