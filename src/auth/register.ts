import type { EntityManager } from '@mikro-orm/postgresql';
import { faultOf } from '../database/faults.ts';
import { insert } from '../database/insert.ts';
import { statement } from '../database/prepared.ts';
import { Refusal } from '../errors.ts';
import { findUser, type Registration, User } from '../user/user.ts';

const upgrade = statement<{ id: string }>(
  'user_upgrade',
  `update users set is_anonymous = false, email = $3, email_key = $4, name = $5, password_hash = $6, updated_at = $7
   where id = $1 and project_id = $2 and is_anonymous and deleted_at is null
   returning id`,
);

/**
 * Creates a registered user, or makes one of the guest, whose id and sessions stay.
 *
 * Whether the address is free is for the unique index to say, never for a look before: of any number of calls with one
 * address one succeeds, the others throw EMAIL_ALREADY_REGISTERED.
 */
export async function register(
  em: EntityManager,
  registration: Registration,
  guestId: string | undefined,
  now: Date,
): Promise<User> {
  const user = User.register(registration, now);
  try {
    if (!guestId) await insert(em, user);
    else if (!(await upgradeGuest(em, guestId, user))) throw new Refusal('SESSION_REVOKED');
  } catch (error) {
    throw faultOf(error) === 'unique' ? new Refusal('EMAIL_ALREADY_REGISTERED', { cause: error }) : error;
  }
  return guestId ? findUser(em, registration.projectId, guestId) : user;
}

// Conditional on being a guest still: of two registrations of one guest the second finds nothing to upgrade.
async function upgradeGuest(em: EntityManager, guestId: string, user: User): Promise<boolean> {
  const { projectId, email, emailKey, name, passwordHash, updatedAt } = user;
  const rows = await upgrade(em, [guestId, projectId, email, emailKey, name, passwordHash, updatedAt]);
  return rows.length === 1;
}
