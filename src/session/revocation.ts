import type { EntityManager } from '@mikro-orm/postgresql';
import { revokeApiKeys } from '../api-key/revocation.ts';
import { statement } from '../database/statement.ts';
import { hashSessionSecret, type RefreshToken } from './refresh-token.ts';
import { isRevokedIndirectly, isUnexpired } from './session.ts';
import { forgetDevices } from './trusted-device.ts';

export type RevokeReason =
  | 'sign_out'
  | 'revoked'
  | 'banned'
  | 'deleted'
  | 'password_changed'
  | 'registered'
  | 'factor_verified'
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

/** A session that was revoked. */
interface Revoked {
  readonly id: string;
  /** False when the session had expired, or was revoked elsewhere than in its row. */
  readonly wasLive: boolean;
}

// A session that looks expired is revoked as well: a refresh that waits with an earlier `now` would prolong it.
const revokeMany = statement<Revoked, Revocation>(
  'sessions_revoke',
  `update sessions s set revoked_at = :now, revoke_reason = :reason
   where s.user_id = :userId and s.revoked_at is null
     and (:only::uuid is null or s.id = :only) and (:except::uuid is null or s.id <> :except)
   returning s.id, ${isUnexpired('s', ':now')} and ${isRevokedIndirectly('s')} is not true as "wasLive"`,
);

// The sessions are in the rows of other users.
const revokeImpersonated = statement<{ id: string }, Omit<Revocation, 'only' | 'except'>>(
  'sessions_revoke_impersonated',
  `update sessions s set revoked_at = :now, revoke_reason = :reason
   where s.impersonator_id = :userId and s.revoked_at is null returning s.id`,
);

/**
 * Revokes the sessions of a user, all of them, `only` one or all `except` one, and returns which. Unless `only` one is
 * revoked, the sessions in which the user acts as others are revoked too: a thief of an operator's session must not keep
 * those that were opened with it. The user's trusted devices are forgotten. Once the transaction has committed, no refresh, call or introspection of these sessions
 * succeeds on any replica: each reads the row. The caller
 * holds the lock of the user's row.
 */
export async function revokeSessions(
  em: EntityManager,
  { userId, only, except }: { userId: string; only?: string; except?: string },
  reason: RevokeReason,
  now: Date,
): Promise<Revoked[]> {
  const rows = await revokeMany(em, { userId, now, reason, only: only ?? null, except: except ?? null });
  if (only) return rows;
  await revokeImpersonated(em, { userId, now, reason });
  await forgetDevices(em, { userId });
  return rows;
}

/**
 * Revokes everything with which a user can call: sessions and API keys. For a user who may no longer act, and for an address
 * whose owner is only now known.
 */
export async function revokeCredentials(
  em: EntityManager,
  userId: string,
  reason: RevokeReason,
  now: Date,
): Promise<void> {
  await revokeSessions(em, { userId }, reason, now);
  await revokeApiKeys(em, { userId }, now);
}

const revokeByToken = statement<
  { id: string; user_id: string },
  {
    userId: string;
    sessionId: string;
    projectId: string;
    secretHash: Buffer;
    fingerprintId: string | null;
    now: Date;
  }
>(
  'session_revoke_by_token',
  `update sessions set revoked_at = :now, revoke_reason = 'sign_out'
   where user_id = :userId and id = :sessionId and project_id = :projectId and secret_hash = :secretHash and revoked_at is null
     and (:fingerprintId::text is null or fingerprint_id = :fingerprintId)
   returning id, user_id`,
);

/**
 * Revokes the session of a refresh token of any generation. Undefined when it is revoked already, does not exist, or does not
 * carry the fingerprint, where one is named.
 */
export async function revokeByRefreshToken(
  em: EntityManager,
  projectId: string,
  { userId, sessionId, secret }: RefreshToken,
  now: Date,
  fingerprintId: string | null = null,
) {
  const secretHash = hashSessionSecret(secret);
  const [row] = await revokeByToken(em, { userId, sessionId, projectId, secretHash, fingerprintId, now });
  return row;
}

const holdProject = statement<{ epoch: number }, { projectId: string }>(
  'project_hold',
  'select hold_project(:projectId::uuid, true) as epoch',
);

const revokeAllOfProject = statement<{ id: string }, { projectId: string }>(
  'project_end_sessions',
  'update projects set session_epoch = session_epoch + 1 where id = :projectId returning id',
);

/**
 * Revokes every session and API key of a project that exists now, by one write: each look at one compares its epoch with the
 * project's. No clock decides which those are. Waits for the transactions that have compared the epoch already.
 */
export async function revokeSessionsOfProject(em: EntityManager, projectId: string): Promise<void> {
  await holdProject(em, { projectId });
  await revokeAllOfProject(em, { projectId });
}
