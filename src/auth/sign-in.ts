import type { EntityManager } from '@mikro-orm/postgresql';
import { type Standing, standingOf } from '../account/standing.ts';
import type { EventDraft } from '../audit/draft.ts';
import type { Direct } from '../database/direct.ts';
import { rowOf } from '../database/insert.ts';
import { statement } from '../database/prepared.ts';
import { Refusal } from '../errors.ts';
import { sessionsPerUser } from '../session/opening.ts';
import { evictSessions } from '../session/revocation.ts';
import type { Session } from '../session/session.ts';
import { findByEmail, isBannedAt, type User, type UserRow, userOf } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { tellOfNewDevice } from './new-device.ts';

interface Credentials {
  readonly projectId: string;
  readonly email: string;
  readonly password: string;
}

/**
 * The user whose address and password these are.
 *
 * Every path costs one hash at the current cost. Throws INVALID_CREDENTIALS for an unknown address and a wrong password
 * alike, and USER_BANNED and EMAIL_NOT_VERIFIED only to who has proved to be that user. A user without a password is
 * told USE_OAUTH_PROVIDER, or with HIDE_REGISTRATION the same as everybody.
 */
export async function checkPassword(
  direct: Direct,
  { passwords, now, hideRegistration, requireVerifiedEmail }: AuthDeps,
  { projectId, email, password }: Credentials,
  signal: AbortSignal,
): Promise<User> {
  // In a storm most are refused, and each look-up for them would be paid by those who only refresh.
  passwords.requireRoom();
  const found = await findByEmail(direct, projectId, email);
  const matches = await passwords.matches(found?.passwordHash, password, signal);
  if (!found) throw new Refusal('INVALID_CREDENTIALS', { event: failed('unknown_email') });
  if (found.passwordHash == null) throw withoutPassword(found, hideRegistration);
  if (!matches) throw new Refusal('INVALID_CREDENTIALS', { event: failed('wrong_password', found) });
  if (isBannedAt(found, now())) throw new Refusal('USER_BANNED', { event: failed('banned', found) });
  if (requireVerifiedEmail && !found.emailVerifiedAt)
    throw new Refusal('EMAIL_NOT_VERIFIED', { event: failed('email_not_verified', found) });
  return userOf(found);
}

function withoutPassword(user: UserRow, isHidden: boolean): Refusal {
  const event = failed('no_password', user);
  if (isHidden) return new Refusal('INVALID_CREDENTIALS', { event });
  return new Refusal('USE_OAUTH_PROVIDER', { event, metadata: { providers: '' } });
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
   ), told as (
     ${tellOfNewDevice('signed_in', { user: '$1', session: '$5', mail: '$7' })}
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
  /** The row of the mail that tells the user, if the device is new. */
  readonly notice: string | null;
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
  { user, rehashed, session, event, notice }: SignIn,
  now: Date,
): Promise<Standing> {
  const values = [user.id, now, user.passwordHash, rehashed, rowOf(em, session), event, notice];
  const [row] = await signIn(em, values);
  if (!row) throw new Refusal('INVALID_CREDENTIALS', { event: failed('changed_meanwhile', user) });
  if (row.sessions > sessionsPerUser - unseen) await evictSessions(em, user.id, sessionsPerUser, now);
  return row.standing;
}

function failed(cause: string, user?: UserRow): EventDraft {
  return { action: 'auth.login_failed', userId: user?.id, cause };
}
