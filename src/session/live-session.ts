import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/prepared.ts';
import { Refusal } from '../errors.ts';
import type { UserCaller } from '../rpc/context.ts';
import type { AccessClaims } from './access-token.ts';
import type { AuthenticationMethod, SessionKind } from './session.ts';

/** A session and its user as one row: what every call with an access token has to know. */
export interface SessionState {
  readonly id: string;
  readonly project_id: string;
  readonly user_id: string;
  readonly kind: SessionKind;
  readonly aal: number;
  readonly amr: readonly AuthenticationMethod[];
  readonly email: string | null;
  readonly is_anonymous: boolean;
  readonly must_change_password: boolean;
  /** Null while the session is live. */
  readonly ended: 'revoked' | 'expired' | null;
}

// Hot: one prepared look-up by primary key for every call with an access token and every introspection.
const readState = statement<SessionState>(
  'session_state',
  `select s.id, s.project_id, s.user_id, s.kind, s.aal, s.amr, u.email, u.is_anonymous, u.must_change_password,
     case when s.revoked_at is not null or u.deleted_at is not null or u.banned_until > $2 then 'revoked'
          when s.idle_expires_at <= $2 or s.expires_at <= $2 then 'expired' end as ended
   from sessions s join users u on u.id = s.user_id
   where s.id = $1`,
);

/** The state of the session a token speaks of, or undefined when the token's user does not own it. */
export async function readSessionState(
  em: EntityManager,
  claims: AccessClaims,
  now: Date,
): Promise<SessionState | undefined> {
  const [state] = await readState(em, [claims.sessionId, now]);
  return state?.user_id === claims.userId ? state : undefined;
}

/** The caller a token speaks for. Throws SESSION_REVOKED or SESSION_EXPIRED when the session has ended. */
export async function callerOf(em: EntityManager, claims: AccessClaims, now: Date): Promise<UserCaller> {
  const state = await readSessionState(em, claims, now);
  if (!state || state.ended === 'revoked') throw new Refusal('SESSION_REVOKED');
  if (state.ended === 'expired') throw new Refusal('SESSION_EXPIRED');
  return {
    kind: 'user',
    projectId: state.project_id,
    userId: state.user_id,
    sessionId: state.id,
    isGuest: state.is_anonymous,
    mustChangePassword: state.must_change_password,
    // An older token of a session that was elevated meanwhile stays at its own level.
    aal: Math.min(claims.aal, state.aal),
    authenticatedAt: new Date(Math.max(0, ...state.amr.map((each) => each.timestamp)) * 1000),
  };
}

/**
 * Session states that Introspect may answer from, for callers that said how stale an answer they accept. Answers of live
 * sessions only, so that what was refused once is never remembered as good.
 */
export class SessionMemory {
  readonly #states = new Map<string, { state: SessionState; readAt: number }>();
  static readonly #most = 20_000;

  recall(claims: AccessClaims, maxStaleness: number, now: Date): SessionState | undefined {
    const known = this.#states.get(claims.sessionId);
    const fits = known && known.state.user_id === claims.userId && now.getTime() - known.readAt <= maxStaleness;
    return fits ? known.state : undefined;
  }

  remember(state: SessionState, now: Date): void {
    this.#states.delete(state.id);
    if (this.#states.size >= SessionMemory.#most) this.#states.delete(this.#states.keys().next().value!);
    this.#states.set(state.id, { state, readAt: now.getTime() });
  }

  forget(sessionId: string): undefined {
    this.#states.delete(sessionId);
  }
}
