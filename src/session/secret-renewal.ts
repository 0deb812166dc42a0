import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { subjectColumns, type TokenSubject } from './access-token.ts';
import { hashSessionSecret, newSessionSecret, type RefreshToken } from './refresh-token.ts';
import { isLive } from './session.ts';

interface Renewal {
  readonly sessionId: string;
  readonly userId: string;
  readonly now: Date;
  readonly secretHash: Buffer;
}

// The generation stays: no older token is then above it, and each is recognized as superseded.
const renew = statement<TokenSubject & { generation: number }, Renewal>(
  'session_renew',
  `update sessions s
   set secret_hash = :secretHash, refreshed_at = :now,
     idle_expires_at = least(:now::timestamptz + s.idle_seconds * interval '1 second', s.expires_at)
   from users u
   where s.id = :sessionId and s.user_id = :userId and u.id = :userId and ${isLive('s')}
   returning ${subjectColumns}, s.generation`,
);

/** A session with a new secret, and its new refresh token. */
export interface Renewed {
  readonly subject: TokenSubject;
  readonly refreshToken: RefreshToken;
}

/**
 * Gives a live session a new secret. The session keeps its id, and every earlier refresh token of it is
 * REFRESH_TOKEN_SUPERSEDED. Throws SESSION_REVOKED when the session is no longer live.
 */
export async function renewSession(
  em: EntityManager,
  { userId, sessionId }: { userId: string; sessionId: string },
  now: Date,
): Promise<Renewed> {
  const secret = newSessionSecret();
  const [row] = await renew(em, { sessionId, userId, now, secretHash: hashSessionSecret(secret) });
  if (!row) throw new Refusal('SESSION_REVOKED');
  const { generation, ...subject } = row;
  return { subject, refreshToken: { userId, sessionId, generation, secret } };
}
