import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { leaveAccounts } from '../account/members.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { projectOf } from '../rpc/context.ts';
import { revokeSessions } from '../session/revocation.ts';
import { bytesOfMetadata, mostMetadataBytes } from '../user/metadata.ts';
import { lockUser, lockUsers, type User } from '../user/user.ts';
import { type GuestSession, isLiveGuest } from './cli-guest.ts';

interface Merge {
  readonly guest: GuestSession;
  /** The user whom the guest is merged into. */
  readonly userId: string;
}

/**
 * Merges a guest into a user, and deletes the guest. False when the guest has registered, was deleted or has signed out: then
 * there is nobody to merge. Within `change`, whose locks include both users.
 *
 * Attack: the program that starts a login chooses its guest. So the user receives nothing that lets others in: sessions,
 * keys, factors and codes of the guest are revoked, never moved. Guests belong to no account. Their usage stays with them, or a
 * stranger could use up the quota of the user.
 */
export async function mergeGuest(
  em: EntityManager,
  context: HandlerContext,
  { guest, userId }: Merge,
  now: Date,
): Promise<boolean> {
  const projectId = projectOf(context);
  const user = await lockUser(em, projectId, userId);
  const source = (await lockUsers(em, projectId, [guest.userId])).get(guest.userId);
  if (!source?.isAnonymous || !(await isLiveGuest(em, guest, now))) return false;
  if (source.email || source.passwordHash || source.systemRole === 'operator') throw new Refusal('GUEST_NOT_MERGEABLE');
  takeMetadata(user, source, now);
  await leaveAccounts(em, source.id, now);
  source.delete(now);
  await revokeSessions(em, { userId: source.id }, 'deleted', now);
  await voidFor(em, source.id, now);
  audit(em, context, { action: 'user.merge', userId: source.id }, now);
  return true;
}

/** Gives the user the metadata of which they have none. */
function takeMetadata(user: User, source: User, now: Date): void {
  const isEmpty = (metadata: object) => Object.keys(metadata).length === 0;
  const taken = {
    appMetadata: isEmpty(user.appMetadata) ? source.appMetadata : user.appMetadata,
    userMetadata: isEmpty(user.userMetadata) ? source.userMetadata : user.userMetadata,
  };
  // Access tokens hold both.
  if (bytesOfMetadata(taken) > mostMetadataBytes) return;
  Object.assign(user, taken, { updatedAt: now });
}
