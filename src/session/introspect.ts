import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import {
  type IntrospectRequest,
  type IntrospectResponse,
  IntrospectResponseSchema,
  SessionKind,
  type SessionService,
  TokenKind,
} from '../../gen/gatehouse/v1/session_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { isKeyText } from '../api-key/credential.ts';
import type { KeyLookup, KeyState } from '../api-key/key-lookup.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import { roleToMessage } from '../user/current-account.ts';
import { systemRoleToMessage } from '../user/message.ts';
import type { AccessClaims, AccessTokens } from './access-token.ts';
import { kindToMessage, levelToMessage, methodsToMessage } from './message.ts';
import { type IntrospectedState, isSuperseded, type SessionLookup } from './session-lookup.ts';

interface IntrospectDeps {
  readonly now: Clock;
  readonly access: AccessTokens;
  readonly sessions: SessionLookup;
  readonly apiKeys: KeyLookup;
}

/**
 * Whether an access token or an API key is good right now, and whose it is. A token that is not good is `active: false`.
 */
export function introspectMethod({ now, access, sessions, apiKeys }: IntrospectDeps) {
  const memory = new SessionMemory();

  async function stateOf({ maxStaleness }: IntrospectRequest, claims: AccessClaims, context: HandlerContext) {
    const staleness = maxStaleness ? durationMs(maxStaleness) : 0;
    const projectId = projectOf(context);
    const known = staleness > 0 ? memory.recall(projectId, claims, staleness, now()) : undefined;
    if (known) return known;
    // Before the statement is sent: the state may be older than its arrival.
    const readAt = now();
    const state = await sessions.introspect(autocommit(context), claims);
    if (!state || state.ended || state.project_id !== projectId) return memory.forget(projectId, claims.sessionId);
    if (staleness > 0 || memory.holds(state)) memory.remember(state, readAt);
    return isSuperseded(claims, state) ? undefined : state;
  }

  async function describeKey(text: string, context: HandlerContext) {
    const key = await apiKeys.find(autocommit(context), text);
    return key?.project_id === projectOf(context) ? describeApiKey(key) : notActive();
  }

  return {
    async introspect(request, context) {
      if (isKeyText(request.token)) return describeKey(request.token, context);
      const claims = await access.read(request.token, now()).catch(ignoreRefusal);
      const state = claims && (await stateOf(request, claims, context));
      // Backends admit by this response, so a session that lacks a required factor is inactive for them.
      const isGood = claims && state && !claims.isRestricted && !access.isRestricted(levelled(claims, state), now());
      return isGood ? describe(claims, state) : notActive();
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}

/** The state at the lower level of the token and the session. */
function levelled(claims: AccessClaims, state: IntrospectedState): IntrospectedState {
  return claims.aal < state.aal ? { ...state, aal: claims.aal } : state;
}

function describe(claims: AccessClaims, state: IntrospectedState): IntrospectResponse {
  return responseOf(state, {
    tokenKind: TokenKind.ACCESS_TOKEN,
    sessionId: state.id,
    aal: levelToMessage(levelled(claims, state).aal),
    amr: methodsToMessage(state.amr),
    kind: kindToMessage(state.kind),
    expireTime: timestampFromDate(claims.expiresAt),
    issueTime: timestampFromDate(claims.issuedAt),
    role: systemRoleToMessage(state.system_role),
    impersonatorId: state.impersonator_id ?? '',
    apiKeyId: '',
    scopes: [],
  });
}

function describeApiKey(key: KeyState): IntrospectResponse {
  return responseOf(key, {
    tokenKind: TokenKind.API_KEY,
    sessionId: '',
    aal: levelToMessage(1),
    amr: [],
    kind: SessionKind.UNSPECIFIED,
    expireTime: timestampFromDate(key.expires_at),
    issueTime: timestampFromDate(key.created_at),
    // A key of an operator calls as a user.
    role: SystemRole.ENGINEER,
    impersonatorId: '',
    apiKeyId: key.id,
    scopes: [...key.scopes],
  });
}

/** What a response has of the token. The rest is of its user. */
type OfToken = Pick<
  IntrospectResponse,
  | 'tokenKind'
  | 'sessionId'
  | 'aal'
  | 'amr'
  | 'kind'
  | 'expireTime'
  | 'issueTime'
  | 'role'
  | 'impersonatorId'
  | 'apiKeyId'
  | 'scopes'
>;

// Hot. One literal has room for all of its fields; `create` adds them one by one, and moves those before at every third.
function responseOf(user: IntrospectedState | KeyState, token: OfToken): IntrospectResponse {
  return {
    $typeName: IntrospectResponseSchema.typeName,
    active: true,
    userId: user.user_id,
    sessionId: token.sessionId,
    email: user.email ?? '',
    isAnonymous: user.is_anonymous,
    aal: token.aal,
    amr: token.amr,
    kind: token.kind,
    expireTime: token.expireTime,
    issueTime: token.issueTime,
    mustChangePassword: user.must_change_password,
    role: token.role,
    impersonatorId: token.impersonatorId,
    emailVerified: user.email_verified,
    accountId: user.account_id ?? '',
    accountRole: user.account_role ? roleToMessage(user.account_role) : AccountRole.UNSPECIFIED,
    appMetadata: user.app_metadata,
    userMetadata: user.user_metadata,
    tokenKind: token.tokenKind,
    apiKeyId: token.apiKeyId,
    scopes: token.scopes,
  };
}

function notActive(): IntrospectResponse {
  return create(IntrospectResponseSchema);
}

function ignoreRefusal(thrown: unknown): undefined {
  if (!(thrown instanceof Refusal)) throw thrown;
}

/**
 * The states of live sessions as this replica last read them for requests with `max_staleness`, by project and session.
 * Only live sessions are remembered, and only for tokens of their epoch, so a token that was once reported inactive is
 * never reported active from here.
 */
export class SessionMemory {
  readonly #states = new Map<string, { state: IntrospectedState; readAt: number }>();
  // No request accepts a state that is older than five seconds, and a state holds up to 5,000 bytes of metadata.
  static readonly #most = 5_000;

  recall(projectId: string, claims: AccessClaims, maxStaleness: number, now: Date): IntrospectedState | undefined {
    const known = this.#states.get(keyOf(projectId, claims.sessionId));
    if (known?.state.user_id !== claims.userId || isSuperseded(claims, known.state)) return undefined;
    const age = now.getTime() - known.readAt;
    // A negative age means that the clock was set back: the true age is unknown.
    return age >= 0 && age <= maxStaleness ? known.state : undefined;
  }

  /** Whether an earlier state of the session is remembered, which a newer one must replace. */
  holds({ project_id, id }: IntrospectedState): boolean {
    return this.#states.has(keyOf(project_id, id));
  }

  remember(state: IntrospectedState, readAt: Date): void {
    const key = keyOf(state.project_id, state.id);
    this.#states.delete(key);
    if (this.#states.size >= SessionMemory.#most) this.#states.delete(this.#states.keys().next().value!);
    this.#states.set(key, { state, readAt: readAt.getTime() });
  }

  forget(projectId: string, sessionId: string): undefined {
    this.#states.delete(keyOf(projectId, sessionId));
  }
}

function keyOf(projectId: string, sessionId: string): string {
  return `${projectId} ${sessionId}`;
}
