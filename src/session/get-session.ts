import { createContextKey, type ServiceImpl } from '@connectrpc/connect';
import type { GetSessionRequest, SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { Refusal } from '../errors.ts';
import { caller } from '../rpc/context.ts';
import type { CallerReader } from './bearer-token.ts';
import { sessionToMessage } from './message.ts';
import type { ShownSession } from './session.ts';
import type { SessionLookup } from './session-lookup.ts';

const kAskedSession = createContextKey<ShownSession | undefined>(undefined, { description: 'asked session' });

/**
 * Reads the caller of GetSession together with the session that the request names: one statement instead of two. It runs
 * while the call is authenticated, before policy and validation, and the method below finds the session in the context.
 */
export function getSessionCaller(sessions: SessionLookup): CallerReader {
  return async (autocommit, claims, { message, contextValues }) => {
    const { sessionId } = message as GetSessionRequest;
    const { caller, session } = await sessions.callerAndSession(autocommit, claims, sessionId);
    contextValues.set(kAskedSession, session);
    return caller;
  };
}

/** One live session of the caller, or SESSION_NOT_FOUND. */
export function getSessionMethod() {
  return {
    getSession(_, context) {
      const { sessionId } = caller(context);
      const session = context.values.get(kAskedSession);
      if (!session) throw new Refusal('SESSION_NOT_FOUND');
      return { session: sessionToMessage(session, sessionId) };
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}
