import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { hashSessionSecret, type RefreshToken } from './refresh-token.ts';
import { isLive, isRowLive } from './session.ts';

export type RevokeReason =
  | 'sign_out'
  | 'revoked'
  | 'banned'
  | 'deleted'
  | 'password_changed'
  | 'registered'
  | 'mailbox_proved'
  | 'mailbox_unproved'
  | 'operator';

interface Revocation {
  readonly userId: string;
  readonly now: Date;
  readonly reason: RevokeReason;
  readonly only: string | null;
  readonly except: string | null;
}

const revokeMany = statement<{ id: string }, Revocation>(
  'sessions_revoke',
  `update sessions s set revoked_at = :now, revoke_reason = :reason
   where s.user_id = :userId and ${isRowLive('s')}
     and (:only::uuid is null or s.id = :only) and (:except::uuid is null or s.id <> :except)
   returning s.id`,
);

// The sessions are in the rows of other users.
const revokeImpersonated = statement<{ id: string }, Omit<Revocation, 'only' | 'except'>>(
  'sessions_revoke_impersonated',
  `update sessions s set revoked_at = :now, revoke_reason = :reason
   where s.impersonator_id = :userId and ${isRowLive('s')} returning s.id`,
);

/**
 * Revokes live sessions of a user, all of them, `only` one or all `except` one, and returns their ids. Unless `only` one is
 * revoked, the sessions in which the user acts as others are revoked too: a thief of an operator's session must not keep
 * those that were opened with it. Once the transaction has committed, no refresh, call or introspection of these sessions
 * succeeds on any replica: each reads the row.
 */
export async function revokeSessions(
  em: EntityManager,
  { userId, only, except }: { userId: string; only?: string; except?: string },
  reason: RevokeReason,
  now: Date,
): Promise<string[]> {
  const rows = await revokeMany(em, { userId, now, reason, only: only ?? null, except: except ?? null });
  if (!only) rows.push(...(await revokeImpersonated(em, { userId, now, reason })));
  return rows.map((each) => each.id);
}

const revokeByToken = statement<
  { id: string; user_id: string },
  { userId: string; sessionId: string; projectId: string; secretHash: Buffer; now: Date }
>(
  'session_revoke_by_token',
  `update sessions set revoked_at = :now, revoke_reason = 'sign_out'
   where user_id = :userId and id = :sessionId and project_id = :projectId and secret_hash = :secretHash and revoked_at is null
   returning id, user_id`,
);

/** Revokes the session of a refresh token of any generation. Undefined when it is revoked already or does not exist. */
export async function revokeByRefreshToken(
  em: EntityManager,
  projectId: string,
  { userId, sessionId, secret }: RefreshToken,
  now: Date,
) {
  const [row] = await revokeByToken(em, { userId, sessionId, projectId, secretHash: hashSessionSecret(secret), now });
  return row;
}

const revokeAllOfProject = statement<{ id: string }, { projectId: string; now: Date }>(
  'project_end_sessions',
  'update projects set sessions_since = greatest(sessions_since, :now) where id = :projectId returning id',
);

/** Revokes every session of a project that exists now, by one write: each look at a session compares with this time. */
export async function revokeSessionsOfProject(em: EntityManager, projectId: string, now: Date): Promise<void> {
  await revokeAllOfProject(em, { projectId, now });
}

interface OwnSession {
  readonly userId: string;
  readonly sessionId: string;
}

const findLive = statement<{ id: string }, OwnSession & { now: Date }>(
  'session_live',
  `select s.id from sessions s where s.id = :sessionId and s.user_id = :userId and ${isLive('s')}`,
);

/**
 * Throws SESSION_REVOKED unless the session is still live. For transactions that hold the user's lock, which every
 * revocation for good takes first.
 */
export async function requireLive(em: EntityManager, { userId, sessionId }: OwnSession, now: Date): Promise<void> {
  if ((await findLive(em, { sessionId, userId, now })).length === 0) throw new Refusal('SESSION_REVOKED');
}
