import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { type Rotated, subject } from './refresh-statements.ts';
import { hashSessionSecret, newSessionSecret, type RefreshToken } from './refresh-token.ts';
import { endedAbove } from './session.ts';

// The generation goes on: those of older tokens are then never above it, and they are known as replaced.
const renew = statement<Rotated & { generation: number }>(
  'session_renew',
  `update sessions s
   set secret_hash = $4, refreshed_at = $3,
     idle_expires_at = least($3::timestamptz + s.idle_seconds * interval '1 second', s.expires_at)
   from users u
   where s.id = $1 and s.user_id = $2 and u.id = s.user_id
     and s.revoked_at is null and s.idle_expires_at > $3 and s.expires_at > $3
     and ${endedAbove('$3')} is not true
   returning ${subject}, s.generation`,
);

/** A session whose tokens were replaced on purpose. */
export interface Renewed {
  readonly subject: Rotated;
  readonly refreshToken: RefreshToken;
}

/**
 * Gives a live session a new secret: it goes on under the same id, and every refresh token that it had is
 * REFRESH_TOKEN_SUPERSEDED. Throws SESSION_REVOKED when it has ended meanwhile.
 */
export async function renewSession(
  em: EntityManager,
  { userId, sessionId }: { userId: string; sessionId: string },
  now: Date,
): Promise<Renewed> {
  const secret = newSessionSecret();
  const [row] = await renew(em, [sessionId, userId, now, hashSessionSecret(secret)]);
  if (!row) throw new Refusal('SESSION_REVOKED');
  const { generation, ...subject } = row;
  return { subject, refreshToken: { sessionId, generation, secret } };
}
