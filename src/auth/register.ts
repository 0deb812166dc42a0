import type { EntityManager } from '@mikro-orm/postgresql';
import { insert } from '../database/insert.ts';
import { faultOf } from '../database/sqlstate.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { findUser, type Registration, User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { recipientOf } from './user-mail.ts';

const upgrade = statement<{ id: string }>(
  'user_upgrade',
  `update users set is_anonymous = false, email = $3, email_key = $4, email_verified_at = $5, name = $6, password_hash = $7,
     updated_at = $8
   where id = $1 and project_id = $2 and is_anonymous and deleted_at is null
     and (banned_until is null or banned_until <= $8)
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
    else if (!(await upgradeGuest(em, guestId, user))) throw new Refusal('TRY_AGAIN');
  } catch (error) {
    throw faultOf(error) === 'unique' ? new Refusal('EMAIL_ALREADY_REGISTERED', { cause: error }) : error;
  }
  return guestId ? findUser(em, registration.projectId, guestId) : user;
}

// Conditional on being a guest still, and one who may: of two registrations of one guest the second finds nothing to
// upgrade. Tried again, it is the call of a registered user.
async function upgradeGuest(em: EntityManager, guestId: string, user: User): Promise<boolean> {
  const { projectId, email, emailKey, emailVerifiedAt, name, passwordHash, updatedAt } = user;
  const rows = await upgrade(em, [guestId, projectId, email, emailKey, emailVerifiedAt, name, passwordHash, updatedAt]);
  return rows.length === 1;
}

/**
 * Sends the link that proves the address. Whoever registers an address, deletes the user and begins anew has it sent no
 * more often than anybody who asks for a link; SendVerificationEmail sends another one later.
 */
export async function sendFirstLink(
  { userMail, mailBudget }: Pick<AuthDeps, 'userMail' | 'mailBudget'>,
  em: EntityManager,
  user: User,
  now: Date,
): Promise<void> {
  if (await mailBudget.takeOfHour(em, user.projectId, 'registration', user.emailKey!, now))
    await userMail.send(em, 'email_verification', recipientOf(user), now);
}
