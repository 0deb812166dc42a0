import type { DescMethod } from '@bufbuild/protobuf';
import type { ContextValues } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { type ServiceKey, serviceKeyReader } from '../api-key/service-key.ts';
import { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { defaultProjectId } from '../project/project.ts';
import type { Caller } from '../rpc/context.ts';
import type { AccessTokens } from './access-token.ts';
import { callerOfGetSession } from './get-session.ts';
import type { SessionLookup } from './session-lookup.ts';

export interface BearerTokenDeps {
  readonly orm: MikroORM;
  readonly now: Clock;
  readonly access: AccessTokens;
  readonly sessions: SessionLookup;
  readonly serviceKeys: readonly ServiceKey[];
}

/** What of a call its bearer token is read with. */
interface Call {
  readonly signal: AbortSignal;
  readonly method: DescMethod;
  readonly message: unknown;
  readonly contextValues: ContextValues;
}

/**
 * Reads the bearer token of a call: an access token, which contains dots, or a service key, which does not. Throws
 * TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_SUPERSEDED, SESSION_REVOKED or SESSION_EXPIRED.
 */
export function bearerTokenReader({ orm, now, access, sessions, serviceKeys }: BearerTokenDeps) {
  const readServiceKey = serviceKeyReader(serviceKeys);
  return async (bearer: string, call: Call): Promise<Caller> => {
    if (!bearer.includes('.')) return readServiceKey(bearer, defaultProjectId);
    const claims = await access.read(bearer, now());
    const autocommit = new Autocommit(orm, call.signal);
    return call.method === SessionService.method.getSession
      ? callerOfGetSession(sessions, autocommit, claims, call)
      : sessions.callerOf(autocommit, claims);
  };
}
