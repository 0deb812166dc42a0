import type { JsonObject } from '@bufbuild/protobuf';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { Coalescer, unlessInConflict } from '../database/coalesce.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { UserCaller } from '../rpc/context.ts';
import { isUuid } from '../text/uuid-text.ts';
import { currentMembership, type RoleName } from '../user/current-account.ts';
import { type AccessClaims, userSince } from './access-token.ts';
import { type AuthenticationMethod, endOf, type SessionKind, type ShownSession, shownColumns } from './session.ts';

/** A session and its user as one row: what every call with an access token needs. */
export interface SessionState {
  readonly id: string;
  readonly project_id: string;
  readonly user_id: string;
  readonly kind: SessionKind;
  readonly aal: number;
  readonly token_epoch: number;
  readonly amr: readonly AuthenticationMethod[];
  readonly email: string | null;
  readonly is_anonymous: boolean;
  readonly must_change_password: boolean;
  readonly system_role: string;
  readonly factor_count: number;
  readonly user_since: number;
  readonly trusted_device_id: string | null;
  readonly impersonator_id: string | null;
  /** Null while the session is live. */
  readonly ended: 'revoked' | 'expired' | null;
}

/** The same with what backends learn of the user. */
export interface IntrospectedState extends SessionState {
  readonly email_verified: boolean;
  /** Null for users in no account. */
  readonly account_id: string | null;
  readonly account_role: RoleName | null;
  readonly app_metadata: JsonObject;
  readonly user_metadata: JsonObject;
}

/** The sessions to read, each with its user. */
export interface Lookup {
  readonly userIds: readonly string[];
  readonly ids: readonly string[];
  readonly now: Date;
}

/** SQL: the columns of a SessionState, for statements that read `namedSessions`. */
export const stateColumns = `s.id, s.project_id, s.user_id, s.kind, s.aal, s.token_epoch, s.amr, u.email, u.is_anonymous, u.must_change_password,
     u.system_role, u.factor_count, ${userSince('u')}, s.trusted_device_id, s.impersonator_id, ${endOf('s', 'u')} as ended`;

/**
 * SQL: the sessions of a Lookup and their users. The planner does not look into the sub-select: one plan serves any number
 * of sessions.
 */
export const namedSessions = `unnest((select :userIds::uuid[]), (select :ids::uuid[])) as named (user_id, id)
   join sessions s on s.user_id = named.user_id and s.id = named.id join users u on u.id = named.user_id`;

// Hot: one prepared look-up by primary key for every call with an access token and every introspection.
const readStates = statement<SessionState, Lookup>('session_states', `select ${stateColumns} from ${namedSessions}`, {
  isSharedRead: true,
});

// Hot: the same for Introspect, with what backends learn of the user.
const readIntrospected = statement<IntrospectedState, Lookup>(
  'session_states_introspected',
  `select ${stateColumns}, u.email_verified_at is not null as email_verified, m.account_id, m.role as account_role,
     u.app_metadata, u.user_metadata
   from ${namedSessions} left join ${currentMembership('m', 'u')}`,
  { isSharedRead: true },
);

// Hot: the same for GetSession, which also needs the session that was asked for.
const readSessions = statement<SessionState & ShownSession, Lookup>(
  'session_states_shown',
  `select ${stateColumns}, ${shownColumns} from ${namedSessions}`,
  { isSharedRead: true },
);

/** Reads the current state of the sessions that access tokens name. */
export class SessionLookup {
  readonly #states: Reader<SessionState>;
  readonly #introspected: Reader<IntrospectedState>;
  readonly #sessions: Reader<SessionState & ShownSession>;

  constructor(autocommit: Autocommit, now: Clock) {
    this.#states = readTogether(readStates, autocommit, now);
    this.#introspected = readTogether(readIntrospected, autocommit, now);
    this.#sessions = readTogether(readSessions, autocommit, now);
  }

  /** The state of the token's session, or undefined when the token's user does not own it. */
  async stateOf(autocommit: Autocommit, { sessionId, userId }: AccessClaims): Promise<SessionState | undefined> {
    const [state] = await this.#states(autocommit, { userId, ids: [sessionId] });
    return state;
  }

  /** The same with what backends learn of the user. */
  async introspect(
    autocommit: Autocommit,
    { sessionId, userId }: AccessClaims,
  ): Promise<IntrospectedState | undefined> {
    const [state] = await this.#introspected(autocommit, { userId, ids: [sessionId] });
    return state;
  }

  /**
   * The caller that a token identifies. Throws SESSION_REVOKED or SESSION_EXPIRED unless its session is live, and
   * TOKEN_SUPERSEDED unless the token was issued since the session was last renewed.
   */
  async callerOf(autocommit: Autocommit, claims: AccessClaims): Promise<UserCaller> {
    return admit(await this.stateOf(autocommit, claims), claims);
  }

  /** The caller, and in the same statement a live session of theirs, or undefined when none has that id. */
  async callerAndSession(autocommit: Autocommit, claims: AccessClaims, sessionId: string) {
    // A malformed id is refused later, when the request is validated.
    const asked = isUuid(sessionId) ? sessionId.toLowerCase() : claims.sessionId;
    const states = await this.#sessions(autocommit, { userId: claims.userId, ids: [claims.sessionId, asked] });
    const own = states.find(({ id }) => id === claims.sessionId);
    const caller = admit(own, claims);
    return { caller, session: states.find(({ id, ended }) => id === asked && !ended) };
  }
}

/** Sessions of one user. */
export interface Asked {
  readonly userId: string;
  readonly ids: readonly string[];
}

export type Reader<Row> = (autocommit: Autocommit, asked: Asked) => Promise<readonly Row[]>;

/** Reads sessions by their users and ids. Concurrent calls share one statement. */
export function readTogether<Row extends { id: string; user_id: string }>(
  read: (autocommit: Autocommit, values: Lookup) => Promise<Row[]>,
  shared: Autocommit,
  now: Clock,
): Reader<Row> {
  const coalescer = new Coalescer<Asked, readonly Row[]>(async (all) => {
    const found = await unlessInConflict(() => read(shared, { ...columnsOf(all), now: now() }));
    if (!found) return new Map();
    const rows = new Map(found.map((row) => [keyOf(row.user_id, row.id), row]));
    return new Map(all.map((asked) => [asked, asked.ids.flatMap((id) => rows.get(keyOf(asked.userId, id)) ?? [])]));
  });
  return (autocommit, asked) => coalescer.take(asked, () => read(autocommit, { ...columnsOf([asked]), now: now() }));
}

/** The columns of an `unnest`. A session that several calls ask for is read once: a page makes many calls with one token. */
function columnsOf(all: readonly Asked[]): Pick<Lookup, 'userIds' | 'ids'> {
  const userIds: string[] = [];
  const sessionIds: string[] = [];
  const named = new Set<string>();
  for (const { userId, ids } of all)
    for (const id of ids) {
      if (named.has(keyOf(userId, id))) continue;
      named.add(keyOf(userId, id));
      userIds.push(userId);
      sessionIds.push(id);
    }
  return { userIds, ids: sessionIds };
}

function keyOf(userId: string, id: string): string {
  return `${userId} ${id}`;
}

/** Whether the session was renewed after the token was issued. Renewals are counted: clocks of replicas differ. */
export function isSuperseded({ tokenEpoch }: AccessClaims, { token_epoch }: SessionState): boolean {
  return tokenEpoch !== token_epoch;
}

/** The caller of a live session. Throws as SessionLookup.callerOf does. */
export function admit(state: SessionState | undefined, claims: AccessClaims): UserCaller {
  if (!state || state.ended === 'revoked') throw new Refusal('SESSION_REVOKED');
  if (state.ended === 'expired') throw new Refusal('SESSION_EXPIRED');
  if (isSuperseded(claims, state)) throw new Refusal('TOKEN_SUPERSEDED');
  return {
    kind: 'user',
    projectId: state.project_id,
    userId: state.user_id,
    sessionId: state.id,
    tokenEpoch: state.token_epoch,
    isGuest: state.is_anonymous,
    mustChangePassword: state.must_change_password,
    // Impersonating an operator does not grant the operator role.
    isOperator: state.system_role === 'operator' && state.impersonator_id === null,
    hasFactor: state.factor_count > 0,
    impersonatorId: state.impersonator_id ?? undefined,
    // A token issued before its session was elevated stays at its own level.
    aal: Math.min(claims.aal, state.aal),
    sessionKind: state.kind,
    userSince: state.user_since,
    isOnTrustedDevice: state.trusted_device_id !== null,
    hasRestrictedToken: claims.isRestricted,
    recoveredAt: timeOf(state.amr, 'recovery'),
    authenticatedAt: new Date(Math.max(0, ...state.amr.map((each) => each.timestamp)) * 1000),
  };
}

function timeOf(amr: readonly AuthenticationMethod[], name: string): Date | undefined {
  const found = amr.find(({ method }) => method === name);
  return found && new Date(found.timestamp * 1000);
}
