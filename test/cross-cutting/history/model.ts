/*
 * The sessions of one user as a sequential object: what each call returns when calls run one after another, each at one
 * moment. The service promises that parallel calls over two replicas, under faults, look like such a sequence.
 */

/** A session is named by the sign-in that opened it, also when its id was never returned. */
type SessionName = string;

/** Names an access token. */
export interface Access {
  readonly session: SessionName;
  /** How often the session's secret had been replaced. */
  readonly version: number;
}

/** Names a refresh token. */
export interface Token extends Access {
  readonly generation: number;
}

export type Call =
  | { readonly method: 'SignIn'; readonly password: string; readonly opens: SessionName }
  | { readonly method: 'Refresh'; readonly token: Token; readonly attempt: string | undefined }
  | { readonly method: 'SignOutByToken'; readonly token: Token }
  | { readonly method: 'SignOut'; readonly access: Access; readonly scope: 'LOCAL' | 'GLOBAL' | 'OTHERS' }
  | { readonly method: 'RevokeSession' | 'GetSession'; readonly access: Access; readonly target: SessionName }
  | { readonly method: 'Introspect' | 'GetMe' | 'ListSessions' | 'DeleteMe'; readonly access: Access }
  | { readonly method: 'UpdateMe'; readonly access: Access; readonly name: string }
  | {
      readonly method: 'ChangePassword';
      readonly access: Access;
      readonly from: string;
      readonly to: string;
      readonly keeps: boolean;
    }
  | { readonly method: 'GetUser' | 'BanUser' | 'UnbanUser' | 'RevokeUserSessions' | 'RevokeEverybody' };

interface Session {
  /** A session that was revoked for the reuse of a token says so to the holders of used tokens. */
  readonly state: 'live' | 'revoked' | 'reused';
  readonly version: number;
  readonly generation: number;
  /** Of the last refresh. */
  readonly attempt: string | undefined;
}

export interface UserState {
  readonly exists: boolean;
  readonly isBanned: boolean;
  readonly password: string;
  readonly name: string;
  readonly sessions: ReadonlyMap<SessionName, Session>;
}

export interface Step<State> {
  readonly response: string;
  readonly next: State;
}

/** A sequential object. */
export interface Model<State, Operation> {
  readonly initial: State;
  step(state: State, operation: Operation): Step<State>;
  /** Whether an operation with this response has changed nothing, whatever the state was. */
  isRead(operation: Operation, response: string): boolean;
  /** Equal for equal states only. */
  keyOf(state: State): string;
}

/** `replays`: whether the parent of the current refresh token is accepted from everybody, or from its own attempt only. */
export function userModel(user: { password: string; name: string }, replays: boolean): Model<UserState, Call> {
  return {
    initial: { ...user, exists: true, isBanned: false, sessions: new Map() },
    step: (state, call) => step(state, call, replays),
    isRead: ({ method }, response) => reads.includes(method) || isRefused(response),
    keyOf,
  };
}

const reads: readonly Call['method'][] = ['Introspect', 'GetMe', 'GetSession', 'ListSessions', 'GetUser'];

function isRefused(response: string): boolean {
  return !response.startsWith('OK') && response !== 'REFRESH_TOKEN_ALREADY_USED';
}

function keyOf({ exists, isBanned, password, name, sessions }: UserState): string {
  const parts = [...sessions].map(([id, each]) => [id, each.state, each.version, each.generation, each.attempt].join());
  return [exists, isBanned, password, name, ...parts.sort()].join('|');
}

function step(state: UserState, call: Call, replays: boolean): Step<UserState> {
  const stay = (response: string) => ({ response, next: state });
  const become = (changes: Partial<UserState>, response = 'OK') => ({ response, next: { ...state, ...changes } });
  switch (call.method) {
    case 'SignIn':
      return signIn(state, call);
    case 'Refresh':
      return refresh(state, call, replays);
    case 'SignOutByToken':
      return isCurrent(state, call.token) ? become({ sessions: revoke(state, only(call.token.session)) }) : stay('OK');
    case 'Introspect':
      return stay(refusalOf(state, call.access) ? 'inactive' : 'active');
    case 'GetUser':
      return stay(state.exists ? `OK ${state.name} ${state.isBanned ? 'banned' : 'free'}` : 'USER_NOT_FOUND');
    case 'RevokeEverybody':
      return become({ sessions: revoke(state) });
    case 'BanUser':
    case 'UnbanUser':
    case 'RevokeUserSessions':
      if (!state.exists) return stay('USER_NOT_FOUND');
      if (call.method === 'RevokeUserSessions') return become({ sessions: revoke(state) });
      if (call.method === 'UnbanUser') return become({ isBanned: false });
      return become({ isBanned: true, sessions: revoke(state) });
  }
  const refusal = refusalOf(state, call.access);
  if (refusal) return stay(refusal);
  switch (call.method) {
    case 'GetMe':
      return stay(`OK ${state.name}`);
    case 'ListSessions':
      return stay(`OK ${[...state.sessions.keys()].filter((each) => isLive(state, each)).sort()}`);
    case 'GetSession':
      return stay(isLive(state, call.target) ? 'OK' : 'SESSION_NOT_FOUND');
    case 'RevokeSession':
      if (!isLive(state, call.target)) return stay('SESSION_NOT_FOUND');
      return become({ sessions: revoke(state, only(call.target)) });
    case 'SignOut':
      return become({ sessions: revoke(state, inScope(call.scope, call.access.session)) });
    case 'UpdateMe':
      return become({ name: call.name }, `OK ${call.name}`);
    case 'DeleteMe':
      return become({ exists: false, sessions: revoke(state) });
    case 'ChangePassword':
      return changePassword(state, call);
  }
}

function signIn(state: UserState, { password, opens }: Call & { method: 'SignIn' }): Step<UserState> {
  if (!state.exists || state.password !== password) return { response: 'INVALID_CREDENTIALS', next: state };
  if (state.isBanned) return { response: 'USER_BANNED', next: state };
  const opened: Session = { state: 'live', version: 0, generation: 0, attempt: undefined };
  return { response: 'OK', next: { ...state, sessions: new Map(state.sessions).set(opens, opened) } };
}

function refresh(state: UserState, { token, attempt }: Call & { method: 'Refresh' }, replays: boolean) {
  const stay = (response: string) => ({ response, next: state });
  const become = (session: Session, response: string): Step<UserState> => ({
    response,
    next: { ...state, sessions: new Map(state.sessions).set(token.session, session) },
  });
  const session = state.sessions.get(token.session);
  if (!session) return stay('REFRESH_TOKEN_INVALID');
  const age = session.generation - token.generation;
  const isSameSecret = session.version === token.version;
  if (!isLive(state, token.session))
    return stay(
      session.state === 'reused' && isSameSecret && age > 0 ? 'REFRESH_TOKEN_ALREADY_USED' : 'SESSION_REVOKED',
    );
  if (!isSameSecret) return stay('REFRESH_TOKEN_SUPERSEDED');
  const successor = `OK ${nameOfToken({ ...token, generation: token.generation + 1 })}`;
  if (age === 0) return become({ ...session, generation: session.generation + 1, attempt }, successor);
  const isRetry = attempt !== undefined && attempt === session.attempt;
  if (age === 1 && (replays || isRetry)) return stay(successor);
  return become({ ...session, state: 'reused' }, 'REFRESH_TOKEN_ALREADY_USED');
}

function changePassword(state: UserState, call: Call & { method: 'ChangePassword' }): Step<UserState> {
  const { access, from, to, keeps } = call;
  if (state.password !== from) return { response: 'CURRENT_PASSWORD_INCORRECT', next: state };
  const own = state.sessions.get(access.session)!;
  const renewed = keeps ? own : { ...own, version: own.version + 1 };
  const sessions = revoke(state, (name) => name !== access.session).set(access.session, renewed);
  const response = keeps ? 'OK' : `OK ${nameOfToken({ ...access, ...renewed })}`;
  return { response, next: { ...state, password: to, sessions } };
}

/** As responses name the refresh token that they return. */
export function nameOfToken({ session, version, generation }: Token): string {
  return `${session}/${version}/${generation}`;
}

/** Why a call with this access token is refused. */
function refusalOf(state: UserState, { session, version }: Access): string | undefined {
  if (!isLive(state, session)) return 'SESSION_REVOKED';
  return state.sessions.get(session)!.version === version ? undefined : 'TOKEN_SUPERSEDED';
}

function isLive({ exists, isBanned, sessions }: UserState, name: SessionName): boolean {
  return exists && !isBanned && sessions.get(name)?.state === 'live';
}

function isCurrent({ sessions }: UserState, { session, version }: Token): boolean {
  return sessions.get(session)?.version === version;
}

type Selection = (name: SessionName) => boolean;

const only =
  (session: SessionName): Selection =>
  (name) =>
    name === session;

function inScope(scope: 'LOCAL' | 'GLOBAL' | 'OTHERS', own: SessionName): Selection {
  if (scope === 'GLOBAL') return () => true;
  return scope === 'LOCAL' ? only(own) : (name) => name !== own;
}

function revoke({ sessions }: UserState, isSelected: Selection = () => true): Map<SessionName, Session> {
  return new Map(
    [...sessions].map(([name, each]) => [
      name,
      each.state === 'live' && isSelected(name) ? { ...each, state: 'revoked' } : each,
    ]),
  );
}
