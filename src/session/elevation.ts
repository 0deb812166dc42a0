import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { subjectColumns } from './access-token.ts';
import { hashSessionSecret, newSessionSecret } from './refresh-token.ts';
import { type Renewed, type RenewedRow, renewedFrom } from './secret-renewal.ts';
import { authentication, isLive, isUnexpired, type SessionKind, shownColumns } from './session.ts';

interface Elevation {
  readonly sessionId: string;
  readonly userId: string;
  readonly factorId: string;
  /** The `amr` name of the factor. */
  readonly method: string;
  /** The entry for `amr`, as JSON. */
  readonly entry: string;
  readonly secretHash: Buffer;
  readonly now: Date;
}

// The epoch of the tokens stays: an earlier access token goes on at its own level. The secret is another, so that no
// earlier refresh token yields the higher level.
const elevate = statement<RenewedRow, Elevation>(
  'session_elevate',
  `update sessions s
   set aal = 2, factor_id = :factorId, secret_hash = :secretHash,
     amr = jsonb_build_array(:entry::jsonb) || coalesce((
       select jsonb_agg(each.entry order by each.place) from jsonb_array_elements(s.amr) with ordinality as each (entry, place)
       where each.entry ->> 'method' <> :method), '[]'::jsonb)
   from users u
   where s.id = :sessionId and s.user_id = :userId and u.id = :userId and ${isLive('s')}
   returning ${subjectColumns}, ${shownColumns}, s.generation`,
);

/** How a session was raised. */
interface Verified {
  readonly userId: string;
  readonly sessionId: string;
  readonly factorId: string;
  readonly method: string;
}

/**
 * Raises a live session to AAL2. It keeps its id and gets a new secret, so that its earlier refresh tokens are
 * REFRESH_TOKEN_SUPERSEDED. Throws SESSION_REVOKED when it is no longer live. The caller holds the lock of the user's row.
 */
export async function elevateSession(em: EntityManager, verified: Verified, now: Date): Promise<Renewed> {
  const secret = newSessionSecret();
  const entry = JSON.stringify(authentication(verified.method, now));
  const [row] = await elevate(em, { ...verified, entry, secretHash: hashSessionSecret(secret), now });
  if (!row) throw new Refusal('SESSION_REVOKED');
  return renewedFrom(row, secret);
}

interface Lower {
  readonly userId: string;
  readonly except: string;
  readonly now: Date;
}

/** A session that was revoked because it was below AAL2. */
export interface LowerSession {
  readonly id: string;
  readonly kind: SessionKind;
  readonly userAgent: string;
  /** False when it had expired. */
  readonly wasLive: boolean;
}

// A session that looks expired is revoked as well: a refresh that waits with an earlier `now` would prolong it.
const revokeLower = statement<LowerSession, Lower>(
  'sessions_revoke_lower',
  `update sessions s set revoked_at = :now, revoke_reason = 'factor_verified'
   where s.user_id = :userId and s.id <> :except and s.revoked_at is null and s.aal < 2 and s.kind in ('web', 'native')
   returning s.id, s.kind, s.user_agent as "userAgent", ${isUnexpired('s', ':now')} as "wasLive"`,
);

/**
 * Revokes the user's other sessions below AAL2, and returns those that were live. Sessions of command line tools and devices
 * go on: they cannot reach AAL2 by themselves, and a user whose television is signed out with every code gives up factors.
 */
export async function revokeLowerSessions(
  em: EntityManager,
  { userId, sessionId }: { userId: string; sessionId: string },
  now: Date,
): Promise<LowerSession[]> {
  const revoked = await revokeLower(em, { userId, except: sessionId, now });
  return revoked.filter(({ wasLive }) => wasLive);
}

// The secret stays: the session goes on, and its next access token has the lower level.
const lower = statement<{ id: string }, { userId: string; factorId: string }>(
  'sessions_lower',
  `update sessions s set aal = 1, factor_id = null
   where s.user_id = :userId and s.factor_id = :factorId and s.revoked_at is null returning s.id`,
);

/** Lowers the sessions that a factor has raised. The caller holds the lock of the user's row. */
export async function lowerSessions(em: EntityManager, userId: string, factorId: string): Promise<void> {
  await lower(em, { userId, factorId });
}

const lowerAll = statement<{ id: string }, { userId: string }>(
  'sessions_lower_all',
  `update sessions s set aal = 1, factor_id = null
   where s.user_id = :userId and s.aal > 1 and s.revoked_at is null returning s.id`,
);

/** The same for all factors at once. */
export async function lowerAllSessions(em: EntityManager, userId: string): Promise<void> {
  await lowerAll(em, { userId });
}
