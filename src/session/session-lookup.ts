import { createContextKey } from '@connectrpc/connect';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { Coalescer, unlessInConflict } from '../database/coalesce.ts';
import { anyOf, statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { UserCaller } from '../rpc/context.ts';
import type { AccessClaims } from './access-token.ts';
import { type AuthenticationMethod, endedAbove, type SessionKind, type ShownSession, shownColumns } from './session.ts';

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
  readonly system_role: string;
  readonly impersonator_id: string | null;
  /** Null while the session is live. */
  readonly ended: 'revoked' | 'expired' | null;
}

const state = `s.id, s.project_id, s.user_id, s.kind, s.aal, s.amr, u.email, u.is_anonymous, u.must_change_password,
     u.system_role, s.impersonator_id,
     case when s.revoked_at is not null or u.deleted_at is not null or u.banned_until > $2 or ${endedAbove('$2')} then 'revoked'
          when s.idle_expires_at <= $2 or s.expires_at <= $2 then 'expired' end as ended`;

// Hot: one prepared look-up by primary key for every call with an access token and every introspection.
const readStates = statement<SessionState>(
  'session_states',
  `select ${state} from sessions s join users u on u.id = s.user_id where s.id = ${anyOf('$1')}`,
);

// Hot: the same for GetSession, which wants another session too.
const readSessions = statement<SessionState & ShownSession>(
  'session_states_shown',
  `select ${state}, ${shownColumns} from sessions s join users u on u.id = s.user_id where s.id = ${anyOf('$1')}`,
);

/** Reads sessions that tokens speak of, as they are at that moment. */
export class SessionLookup {
  readonly #states: Reader<SessionState>;
  readonly #sessions: Reader<SessionState & ShownSession>;

  constructor(autocommit: Autocommit, now: Clock) {
    this.#states = readTogether(readStates, autocommit, now);
    this.#sessions = readTogether(readSessions, autocommit, now);
  }

  /** The state of the token's session, or undefined when the token's user does not own it. */
  async stateOf(autocommit: Autocommit, { sessionId, userId }: AccessClaims): Promise<SessionState | undefined> {
    const [state] = await this.#states(autocommit, [sessionId]);
    return state?.user_id === userId ? state : undefined;
  }

  /** The caller a token speaks for. Throws SESSION_REVOKED or SESSION_EXPIRED when the session has ended. */
  async callerOf(autocommit: Autocommit, claims: AccessClaims): Promise<UserCaller> {
    return admit(await this.stateOf(autocommit, claims), claims);
  }

  /** The caller, and in the same look-up a live session of theirs: undefined when there is none with that id. */
  async callerAndSession(autocommit: Autocommit, claims: AccessClaims, sessionId: string) {
    const asked = isUuid.test(sessionId) ? sessionId.toLowerCase() : claims.sessionId;
    const states = await this.#sessions(autocommit, [claims.sessionId, asked]);
    const own = states.find(({ id, user_id }) => id === claims.sessionId && user_id === claims.userId);
    const caller = admit(own, claims);
    return {
      caller,
      session: states.find((each) => each.id === asked && each.user_id === caller.userId && !each.ended),
    };
  }
}

type Reader<Row> = (autocommit: Autocommit, ids: readonly string[]) => Promise<readonly Row[]>;

/** Reads rows by their ids, with those that others ask for meanwhile. */
function readTogether<Row extends { id: string }>(
  read: (autocommit: Autocommit, values: readonly unknown[]) => Promise<Row[]>,
  shared: Autocommit,
  now: Clock,
): Reader<Row> {
  const batch = new Coalescer<readonly string[], readonly Row[]>(async (all) => {
    const found = await unlessInConflict(() => read(shared, [[...new Set(all.flat())], now()]));
    if (!found) return new Map();
    const rows = new Map(found.map((row) => [row.id, row]));
    return new Map(all.map((ids) => [ids, ids.flatMap((id) => rows.get(id) ?? [])]));
  });
  return (autocommit, ids) => batch.take(ids, () => read(autocommit, [ids, now()]));
}

// What is none is refused when the request is validated, after the caller is known.
const isUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function admit(state: SessionState | undefined, claims: AccessClaims): UserCaller {
  if (!state || state.ended === 'revoked') throw new Refusal('SESSION_REVOKED');
  if (state.ended === 'expired') throw new Refusal('SESSION_EXPIRED');
  return {
    kind: 'user',
    projectId: state.project_id,
    userId: state.user_id,
    sessionId: state.id,
    isGuest: state.is_anonymous,
    mustChangePassword: state.must_change_password,
    // Whoever acts as an operator is none by that.
    isOperator: state.system_role === 'operator' && state.impersonator_id === null,
    hasFactor: hasVerifiedFactor(state),
    impersonatorId: state.impersonator_id ?? undefined,
    // An older token of a session that was elevated meanwhile stays at its own level.
    aal: Math.min(claims.aal, state.aal),
    authenticatedAt: new Date(Math.max(0, ...state.amr.map((each) => each.timestamp)) * 1000),
  };
}

/** Whether the user has a second factor. There are none yet. */
function hasVerifiedFactor(_: SessionState): boolean {
  return false;
}

/** The session that the call asks for, where it was read together with its caller. */
export const kAskedSession = createContextKey<ShownSession | undefined>(undefined, { description: 'asked session' });

/**
 * Session states that Introspect may answer from, for callers that said how stale an answer they accept. Answers of live
 * sessions only, so that what was refused once is never remembered as good.
 */
export class SessionMemory {
  readonly #states = new Map<string, { state: SessionState; readAt: number }>();
  static readonly #most = 20_000;

  recall(claims: AccessClaims, maxStaleness: number, now: Date): SessionState | undefined {
    const known = this.#states.get(claims.sessionId);
    if (known?.state.user_id !== claims.userId) return undefined;
    const age = now.getTime() - known.readAt;
    // Below zero the clock was set back, and nobody knows how old the state is.
    return age >= 0 && age <= maxStaleness ? known.state : undefined;
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
