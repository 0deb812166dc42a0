import type { EntityManager } from '@mikro-orm/postgresql';
import { type Standing, standingOf } from '../account/standing.ts';
import type { EventDraft } from '../audit/draft.ts';
import type { Clock } from '../database/clock.ts';
import type { Direct } from '../database/direct.ts';
import { rowOf } from '../database/insert.ts';
import { statement } from '../database/prepared.ts';
import { Refusal } from '../errors.ts';
import { sessionsPerUser } from '../session/opening.ts';
import { evictSessions } from '../session/revocation.ts';
import type { Session } from '../session/session.ts';
import type { Passwords } from '../user/password.ts';
import { findByEmail, type User, type UserRow, userOf } from '../user/user.ts';

interface Credentials {
  readonly projectId: string;
  readonly email: string;
  readonly password: string;
}

/**
 * The user whose address and password these are.
 *
 * Every path costs one hash at the current cost. Throws INVALID_CREDENTIALS for an unknown address, a wrong password and
 * a user without one alike, and USER_BANNED only to who has proved to be that user.
 */
export async function checkPassword(
  direct: Direct,
  passwords: Passwords,
  { projectId, email, password }: Credentials,
  now: Clock,
  signal: AbortSignal,
): Promise<User> {
  const found = await findByEmail(direct, projectId, email);
  const matches = await passwords.matches(found?.passwordHash, password, signal);
  if (!found) throw new Refusal('INVALID_CREDENTIALS', { event: failed('unknown_email') });
  if (!found.passwordHash) throw new Refusal('INVALID_CREDENTIALS', { event: failed('no_password', found) });
  if (!matches) throw new Refusal('INVALID_CREDENTIALS', { event: failed('wrong_password', found) });
  const user = userOf(found);
  if (user.isBanned(now())) throw new Refusal('USER_BANNED', { event: failed('banned', user) });
  return user;
}

// Everything a sign-in writes and answers, in one statement.
const signIn = statement<{ sessions: number; standing: Standing }>(
  'user_sign_in',
  `with signed_in as (
     update users set last_sign_in_at = $2, password_hash = coalesce($4, password_hash)
     where id = $1 and deleted_at is null and (banned_until is null or banned_until <= $2) and password_hash in ($3, $4)
     returning id
   ), opened as (
     insert into sessions select s.* from signed_in, jsonb_populate_record(null::sessions, $5) s
   ), noted as (
     insert into audit_events select e.* from signed_in, jsonb_populate_record(null::audit_events, $6) e
   )
   select (select count(*) from sessions where user_id = $1 and revoked_at is null)::int as sessions,
     ${standingOf('signed_in.id')} as standing from signed_in`,
);

interface SignIn {
  readonly user: User;
  /** The new hash of the password, when the stored one is outdated. */
  readonly rehashed: string | null;
  readonly session: Session;
  /** The row that tells of it. */
  readonly event: string;
}

// Sign-ins of the same user that the count above cannot see yet.
const unseen = 50;

/**
 * Notes the sign-in on the user's row and opens the session, on the condition that the user is still who was checked:
 * while the hash was computed they may have been banned or deleted, or the password changed (another sign-in may also
 * have rehashed it, and then to the same). Holds the user's row until the transaction ends. Answers with the account the
 * user is in.
 */
export async function recordSignIn(
  em: EntityManager,
  { user, rehashed, session, event }: SignIn,
  now: Date,
): Promise<Standing> {
  const values = [user.id, now, user.passwordHash, rehashed, rowOf(em, session), event];
  const [row] = await signIn(em, values);
  if (!row) throw new Refusal('INVALID_CREDENTIALS', { event: failed('changed_meanwhile', user) });
  if (row.sessions > sessionsPerUser - unseen) await evictSessions(em, user.id, sessionsPerUser, now);
  return row.standing;
}

function failed(cause: string, user?: UserRow): EventDraft {
  return { action: 'auth.login_failed', userId: user?.id, cause };
}
