import type { EntityManager } from '@mikro-orm/postgresql';
import { type AccountSummary, accountSummaryOf } from '../account/usage/account-summary.ts';
import { AuditEvent } from '../audit/event.ts';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { evictSessions } from '../session/revocation.ts';
import { Session } from '../session/session.ts';
import { sessionsPerUser } from '../session/session-opener.ts';
import { refuseFor, waitOf } from '../throttle/failed-attempts.ts';
import { type Checked, failed } from './check-password.ts';
import { tellOfNewDevice } from './new-device.ts';

// Everything a sign-in writes and answers, in one statement.
const signIn = statement<{ wait: number | null; sessions: number; summary: AccountSummary | null }>(
  'user_sign_in',
  `with wait as (select ${waitOf('$10', '$7::text[]', '$8::int[]', '$2')} as seconds),
   signed_in as (
     update users set last_sign_in_at = $2, password_hash = coalesce($4, password_hash)
     where id = $1 and deleted_at is null and (banned_until is null or banned_until <= $2) and password_hash in ($3, $4)
       and (select seconds from wait) is null
     returning id, project_id
   ), forgotten as (
     delete from rate_limits r using signed_in where r.project_id = signed_in.project_id and r.key = any($9::text[])
   ), opened as (
     ${insertRow(Session, '$5', 'signed_in')}
   ), noted as (
     ${insertRow(AuditEvent, '$6', 'signed_in')}
   ), told as (
     ${tellOfNewDevice('signed_in', { user: '$1', session: '$5', mail: '$11' })}
   )
   select wait.seconds as wait, (select count(*) from sessions where user_id = $1 and revoked_at is null)::int as sessions,
     ${accountSummaryOf('signed_in.id')} as summary from wait left join signed_in on true`,
);

interface SignIn extends Omit<Checked, 'isKnown'> {
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
  { user, lane, rehashed, session, event, notice }: SignIn,
  now: Date,
): Promise<AccountSummary> {
  const written = [rowOf(session), event, lane.keys, lane.limits, lane.forgiven, user.projectId, notice];
  const [row] = await signIn(em, [user.id, now, user.passwordHash, rehashed, ...written]);
  const { wait, sessions, summary } = row!;
  // Those at once with it have used the counters up: its verdict must not be told either.
  refuseFor(wait ?? 0, 'account');
  if (!summary) throw new Refusal('INVALID_CREDENTIALS', { event: failed('changed_meanwhile', user) });
  if (sessions > sessionsPerUser - unseen) await evictSessions(em, user.id, sessionsPerUser, now);
  return summary;
}
