import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { Origin } from '../rpc/context.ts';
import { subjectColumns, type TokenSubject } from './access-token.ts';
import { hashSessionSecret, newSessionSecret, type RefreshToken } from './refresh-token.ts';
import { authentication, isLive, type ShownSession, shownColumns } from './session.ts';

interface Renewal {
  readonly sessionId: string;
  readonly userId: string;
  readonly now: Date;
  readonly secretHash: Buffer;
  /** JSON. Null keeps the value of the session, here and below. */
  readonly amr: string | null;
  readonly address: string | null;
  readonly userAgent: string | null;
}

// The epoch rises: every earlier access token is superseded. The generation stays: no older token is then above it, and each is recognized as superseded.
const renew = statement<TokenSubject & ShownSession & { generation: number }, Renewal>(
  'session_renew',
  `update sessions s
   set secret_hash = :secretHash, token_epoch = s.token_epoch + 1, amr = coalesce(:amr::jsonb, s.amr),
     address = coalesce(:address, s.address), user_agent = coalesce(:userAgent, s.user_agent), refreshed_at = :now,
     idle_expires_at = least(:now::timestamptz + s.idle_seconds * interval '1 second', s.expires_at)
   from users u
   where s.id = :sessionId and s.user_id = :userId and u.id = :userId and ${isLive('s')}
   returning ${subjectColumns}, ${shownColumns}, s.generation`,
);

/** How the user has proved who they are, and where. */
export interface Proof {
  /** The `amr` name. */
  readonly method: string;
  readonly origin: Origin;
}

/** A session with a new secret, and its new refresh token. */
export interface Renewed {
  readonly subject: TokenSubject;
  readonly session: ShownSession;
  readonly refreshToken: RefreshToken;
}

/**
 * Gives a live session a new secret. The session keeps its id, and every earlier token of it is TOKEN_SUPERSEDED or
 * REFRESH_TOKEN_SUPERSEDED. With a `proof`, the session counts as authenticated by it alone. Throws SESSION_REVOKED when the
 * session is no longer live.
 */
export async function renewSession(
  em: EntityManager,
  { userId, sessionId }: { userId: string; sessionId: string },
  now: Date,
  proof?: Proof,
): Promise<Renewed> {
  const secret = newSessionSecret();
  const [row] = await renew(em, {
    sessionId,
    userId,
    now,
    secretHash: hashSessionSecret(secret),
    amr: proof ? JSON.stringify([authentication(proof.method, now)]) : null,
    address: proof?.origin.address ?? null,
    userAgent: proof?.origin.userAgent ?? null,
  });
  if (!row) throw new Refusal('SESSION_REVOKED');
  const refreshToken = { userId, sessionId, generation: row.generation, secret };
  return { subject: row, session: { ...row, ...timesOf(row) }, refreshToken };
}

/** In a transaction the ORM's connection returns times as texts. */
function timesOf({ createdAt, refreshedAt, idleExpiresAt, expiresAt }: ShownSession) {
  return {
    createdAt: new Date(createdAt),
    refreshedAt: new Date(refreshedAt),
    idleExpiresAt: new Date(idleExpiresAt),
    expiresAt: new Date(expiresAt),
  };
}
