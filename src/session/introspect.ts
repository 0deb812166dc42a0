import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import {
  type IntrospectRequest,
  IntrospectResponseSchema,
  type SessionService,
  TokenKind,
} from '../../gen/gatehouse/v1/session_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { kindOfCredential } from '../api-key/credential.ts';
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
    return key?.project_id === projectOf(context) ? describeApiKey(key) : { active: false };
  }

  return {
    async introspect(request, context) {
      if (kindOfCredential(request.token) === 'api key')
        return create(IntrospectResponseSchema, await describeKey(request.token, context));
      const claims = await access.read(request.token, now()).catch(ignoreRefusal);
      const state = claims && (await stateOf(request, claims, context));
      // Backends admit by this response, so a session that lacks a required factor is inactive for them.
      const isGood = claims && state && !claims.isRestricted && !access.isRestricted(levelled(claims, state), now());
      return create(IntrospectResponseSchema, isGood ? describe(claims, state) : { active: false });
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}

/** The state at the lower level of the token and the session. */
function levelled(claims: AccessClaims, state: IntrospectedState): IntrospectedState {
  return claims.aal < state.aal ? { ...state, aal: claims.aal } : state;
}

function describe(claims: AccessClaims, state: IntrospectedState) {
  return {
    tokenKind: TokenKind.ACCESS_TOKEN,
    sessionId: state.id,
    aal: levelToMessage(levelled(claims, state).aal),
    amr: methodsToMessage(state.amr),
    kind: kindToMessage(state.kind),
    expireTime: timestampFromDate(claims.expiresAt),
    issueTime: timestampFromDate(claims.issuedAt),
    impersonatorId: state.impersonator_id ?? '',
    ...describeUser(state),
  };
}

function describeApiKey(key: KeyState) {
  return {
    tokenKind: TokenKind.API_KEY,
    apiKeyId: key.id,
    scopes: [...key.scopes],
    aal: levelToMessage(1),
    expireTime: timestampFromDate(key.expires_at),
    issueTime: timestampFromDate(key.created_at),
    ...describeUser(key),
    // A key of an operator calls as a user.
    role: SystemRole.ENGINEER,
  };
}

/** What a response has of the user, whatever the kind of the token. */
function describeUser(state: IntrospectedState | KeyState) {
  return {
    active: true,
    userId: state.user_id,
    email: state.email ?? '',
    isAnonymous: state.is_anonymous,
    mustChangePassword: state.must_change_password,
    role: systemRoleToMessage(state.system_role),
    emailVerified: state.email_verified,
    accountId: state.account_id ?? '',
    ...(state.account_role && { accountRole: roleToMessage(state.account_role) }),
    appMetadata: state.app_metadata,
    userMetadata: state.user_metadata,
  };
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
