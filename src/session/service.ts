import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import {
  type IntrospectRequest,
  IntrospectResponseSchema,
  type SessionService,
  SignOutScope,
} from '../../gen/gatehouse/v1/session_pb.ts';
import { audit } from '../audit/event.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change, origin, projectOf, remark } from '../rpc/context.ts';
import type { Paging } from '../rpc/paging.ts';
import { systemRoleToMessage } from '../user/message.ts';
import { lockUser } from '../user/user.ts';
import type { AccessClaims, AccessTokens } from './access-token.ts';
import { kindToMessage, levelToMessage, methodsToMessage, sessionToMessage } from './message.ts';
import type { Rotations } from './refresh.ts';
import { readRefreshToken, successorOf } from './refresh-token.ts';
import { revokeByRefreshToken, revokeSessions } from './revocation.ts';
import { listSessions } from './session.ts';
import { kAskedSession, type SessionLookup, type SessionMemory, type SessionState } from './session-lookup.ts';
import type { SessionOpener } from './session-opener.ts';

interface Deps {
  readonly now: Clock;
  readonly paging: Paging;
  readonly keys: MasterKeys;
  readonly access: AccessTokens;
  readonly opener: SessionOpener;
  readonly rotations: Rotations;
  readonly sessions: SessionLookup;
  readonly memory: SessionMemory;
}

export function sessionService(deps: Deps): ServiceImpl<typeof SessionService> {
  const { now, paging, keys, access, opener, rotations, sessions, memory } = deps;

  async function endByRefreshToken(text: string, context: HandlerContext): Promise<void> {
    const token = readRefreshToken(keys, projectOf(context), text);
    if (!token) return;
    await change(context, async (em) => {
      const ended = await revokeByRefreshToken(em, projectOf(context), token, now());
      if (ended) audit(em, context, { action: 'auth.logout', userId: ended.user_id, sessionId: ended.id }, now());
    });
  }

  async function endByScope(scope: SignOutScope, context: HandlerContext): Promise<void> {
    const { projectId, userId, sessionId, impersonatorId, isOperator } = caller(context);
    // Who acts as another ends no session of theirs but this one.
    const narrowed =
      scope === SignOutScope.LOCAL || impersonatorId
        ? { only: sessionId }
        : scope === SignOutScope.OTHERS
          ? { except: sessionId }
          : {};
    await change(context, async (em) => {
      // Whoever else has the operator's session may be about to act as somebody.
      if (isOperator) await lockUser(em, projectId, userId);
      await revokeSessions(em, { userId, ...narrowed }, 'sign_out', now());
      audit(em, context, { action: 'auth.logout' }, now());
    });
  }

  async function stateOf(request: IntrospectRequest, claims: AccessClaims, context: HandlerContext) {
    const staleness = request.maxStaleness ? durationMs(request.maxStaleness) : 0;
    const known = staleness > 0 ? memory.recall(claims, staleness, now()) : undefined;
    if (known) return known;
    const askedAt = now();
    const state = await sessions.stateOf(autocommit(context), claims);
    if (!state || state.ended || state.project_id !== projectOf(context)) return memory.forget(claims.sessionId);
    memory.remember(state, askedAt);
    return state;
  }

  return {
    async refresh({ refreshToken }, context) {
      const projectId = projectOf(context);
      const token = readRefreshToken(keys, projectId, refreshToken);
      if (!token) throw new Refusal('REFRESH_TOKEN_INVALID');
      const rotated = await rotations.use(autocommit(context), { token, projectId, ...origin(context) });
      if (rotated.is_replay) remark(context, 'replayed');
      return {
        tokens: opener.tokensFor(rotated, projectId, successorOf(token), rotated.must_change_password, now()),
      };
    },

    async signOut({ refreshToken, scope }, context) {
      if (refreshToken) await endByRefreshToken(refreshToken, context);
      else await endByScope(scope, context);
      return {};
    },

    async listSessions(request, context) {
      const { userId, sessionId } = caller(context);
      const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, (page) =>
        listSessions(autocommit(context), userId, page, now()),
      );
      return { sessions: rows.map((each) => sessionToMessage(each, sessionId)), nextPageToken };
    },

    // The session was read together with the caller.
    getSession(_, context) {
      const { sessionId } = caller(context);
      const session = context.values.get(kAskedSession);
      if (!session) throw new Refusal('SESSION_NOT_FOUND');
      return { session: sessionToMessage(session, sessionId) };
    },

    async revokeSession({ sessionId: id }, context) {
      const { userId, sessionId } = caller(context);
      // A UUID has two spellings; PostgreSQL takes both.
      if (id.toLowerCase() === sessionId) throw new Refusal('CANNOT_DELETE_CURRENT_SESSION');
      await change(context, async (em) => {
        const ended = await revokeSessions(em, { userId, only: id }, 'revoked', now());
        if (ended.length === 0) throw new Refusal('SESSION_NOT_FOUND');
        audit(em, context, { action: 'session.revoke', sessionId: id }, now());
      });
      return {};
    },

    async introspect(request, context) {
      const claims = await access.read(request.token, now()).catch(ignoreRefusal);
      const state = claims && (await stateOf(request, claims, context));
      return create(IntrospectResponseSchema, claims && state ? describe(claims, state) : { active: false });
    },
  };
}

function describe(claims: AccessClaims, state: SessionState) {
  return {
    active: true,
    userId: state.user_id,
    sessionId: state.id,
    email: state.email ?? '',
    isAnonymous: state.is_anonymous,
    aal: levelToMessage(Math.min(claims.aal, state.aal)),
    amr: methodsToMessage(state.amr),
    kind: kindToMessage(state.kind),
    expireTime: timestampFromDate(claims.expiresAt),
    issueTime: timestampFromDate(claims.issuedAt),
    mustChangePassword: state.must_change_password,
    role: systemRoleToMessage(state.system_role),
    impersonatorId: state.impersonator_id ?? '',
  };
}

function ignoreRefusal(thrown: unknown): undefined {
  if (!(thrown instanceof Refusal)) throw thrown;
}
