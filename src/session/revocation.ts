import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { hashSessionSecret, type RefreshToken } from './refresh-token.ts';
import { endedAbove } from './session.ts';

export type RevokeReason =
  | 'sign_out'
  | 'revoked'
  | 'banned'
  | 'deleted'
  | 'session_limit'
  | 'password_changed'
  | 'mailbox_proved'
  | 'mailbox_unproved'
  | 'operator';

const revokeMany = statement<{ id: string }>(
  'sessions_revoke',
  `update sessions set revoked_at = $2, revoke_reason = $3
   where (user_id = $1 or impersonator_id = $1 and $4::uuid is null)
     and revoked_at is null and idle_expires_at > $2 and expires_at > $2
     and ($4::uuid is null or id = $4) and ($5::uuid is null or id <> $5)
   returning id`,
);

const revokeByToken = statement<{ id: string; user_id: string }>(
  'session_revoke_by_token',
  `update sessions set revoked_at = $4, revoke_reason = 'sign_out'
   where id = $1 and project_id = $2 and secret_hash = $3 and revoked_at is null
   returning id, user_id`,
);

const evictOldest = statement<{ id: string }>(
  'sessions_evict',
  `update sessions set revoked_at = $2, revoke_reason = 'session_limit'
   where id in (select id from sessions where user_id = $1 and revoked_at is null order by id desc offset $3)
   returning id`,
);

/**
 * Ends live sessions of a user, all or those named, and tells which. Unless it is one, the sessions end as well in which
 * they act as others: whoever has stolen an operator's session must not keep those that were opened with it. Once the
 * transaction has committed no refresh, no call and no introspection of them succeeds on any replica: each asks the row.
 */
export async function revokeSessions(
  em: EntityManager,
  which: { userId: string; only?: string; except?: string },
  reason: RevokeReason,
  now: Date,
): Promise<string[]> {
  const rows = await revokeMany(em, [which.userId, now, reason, which.only ?? null, which.except ?? null]);
  return rows.map((each) => each.id);
}

interface Own {
  readonly userId: string;
  readonly sessionId: string;
}

const findLive = statement<{ id: string }>(
  'session_live',
  `select id from sessions s where id = $1 and user_id = $2 and revoked_at is null and idle_expires_at > $3
     and expires_at > $3 and ${endedAbove('$3')} is not true`,
);

/**
 * Looks at a session once more, when its user is locked: who ends sessions for good locks the user first. Throws
 * SESSION_REVOKED when it has ended.
 */
export async function requireLive(em: EntityManager, { userId, sessionId }: Own, now: Date): Promise<void> {
  if ((await findLive(em, [sessionId, userId, now])).length === 0) throw new Refusal('SESSION_REVOKED');
}

/** Ends the session of a refresh token, however often that was used since. Undefined when there was nothing to end. */
export async function revokeByRefreshToken(em: EntityManager, projectId: string, token: RefreshToken, now: Date) {
  const [row] = await revokeByToken(em, [token.sessionId, projectId, hashSessionSecret(token.secret), now]);
  return row;
}

/** Ends the oldest sessions of a user beyond `keep`. The caller holds the user's row, so parallel sign-ins queue up. */
export async function evictSessions(em: EntityManager, userId: string, keep: number, now: Date): Promise<void> {
  await evictOldest(em, [userId, now, keep]);
}
