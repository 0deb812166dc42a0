import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { Origin } from '../rpc/origin.ts';
import { mayActAt, storedUserColumns } from '../user/user.ts';
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
const renewal = (user: string, condition = 'true') =>
  `update sessions s
   set secret_hash = :secretHash, token_epoch = s.token_epoch + 1, amr = coalesce(:amr::jsonb, s.amr),
     address = coalesce(:address, s.address), user_agent = coalesce(:userAgent, s.user_agent), refreshed_at = :now,
     idle_expires_at = least(:now::timestamptz + s.idle_seconds * interval '1 second', s.expires_at)
   from ${user} u
   where s.id = :sessionId and s.user_id = :userId and u.id = :userId and ${isLive('s')} and ${condition}
   returning ${subjectColumns}, ${shownColumns}, s.generation`;

export type RenewedRow = TokenSubject & ShownSession & { readonly generation: number };

const renew = statement<RenewedRow, Renewal>('session_renew', renewal('users'));

interface Unused {
  readonly projectId: string;
  /** The generation that the session has until its refresh token is used. */
  readonly generation: number;
  /** The stored hash that the password has just matched. */
  readonly checkedHash: string;
}

// Race: the user's row is locked first, as by every change of a password. What has been committed meanwhile is seen.
const renewUnused = statement<RenewedRow, Renewal & Unused>(
  'session_renew_unused',
  `with holder as materialized (
     select ${storedUserColumns} from users u
     where u.id = :userId and u.project_id = :projectId and u.password_hash = :checkedHash and ${mayActAt('u')}
     for no key update of u
   ) ${renewal('holder', 's.generation = :generation and s.aal = 1')}`,
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
  const [row] = await renew(em, renewalOf({ userId, sessionId }, secret, now, proof));
  if (!row) throw new Refusal('SESSION_REVOKED');
  return renewedFrom(row, secret);
}

/**
 * The same for a session whose refresh token was never used, with one factor. Undefined when it was used, when the session
 * is no longer live, or when the user's password has changed.
 */
export async function renewUnusedSession(
  autocommit: Autocommit,
  session: Unused & { readonly userId: string; readonly sessionId: string },
  now: Date,
  proof: Proof,
): Promise<Renewed | undefined> {
  const secret = newSessionSecret();
  const { projectId, generation, checkedHash } = session;
  const renewing = { ...renewalOf(session, secret, now, proof), projectId, generation, checkedHash };
  const [row] = await renewUnused(autocommit, renewing);
  return row && renewedFrom(row, secret);
}

function renewalOf(
  { userId, sessionId }: { userId: string; sessionId: string },
  secret: Buffer,
  now: Date,
  proof: Proof | undefined,
): Renewal {
  return {
    sessionId,
    userId,
    now,
    secretHash: hashSessionSecret(secret),
    amr: proof ? JSON.stringify([authentication(proof.method, now)]) : null,
    address: proof?.origin.address ?? null,
    userAgent: proof?.origin.userAgent ?? null,
  };
}

export function renewedFrom(row: RenewedRow, secret: Buffer): Renewed {
  const refreshToken = { userId: row.userId, sessionId: row.id, generation: row.generation, secret };
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
