import type { DescMethod } from '@bufbuild/protobuf';
import type { ContextValues } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { kindOfCredential } from '../api-key/credential.ts';
import type { KeyLookup } from '../api-key/key-lookup.ts';
import { type ServiceKey, serviceKeyReader } from '../api-key/service-key.ts';
import { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import type { Projects } from '../project/projects.ts';
import { type Caller, kSurface, type UserCaller } from '../rpc/context.ts';
import type { AccessClaims, AccessTokens } from './access-token.ts';
import { legacyTokenReader } from './legacy-token.ts';
import type { SessionLookup } from './session-lookup.ts';

/** Reads the caller of one method in the statement that reads what the method returns. */
export type CallerReader = (autocommit: Autocommit, claims: AccessClaims, call: Call) => Promise<UserCaller>;

export interface BearerTokenDeps {
  readonly orm: MikroORM;
  readonly now: Clock;
  readonly access: AccessTokens;
  readonly sessions: SessionLookup;
  readonly apiKeys: KeyLookup;
  readonly serviceKeys: readonly ServiceKey[];
  readonly projects: Projects;
  /** SUPABASE_JWT_SECRETS. */
  readonly legacySecrets: readonly string[];
  readonly callerReaders: ReadonlyMap<DescMethod, CallerReader>;
}

/** What of a call its bearer token is read with. */
interface Call {
  readonly signal: AbortSignal;
  readonly method: DescMethod;
  readonly message: unknown;
  readonly contextValues: ContextValues;
}

/**
 * Reads the bearer token of a call: an access token, an API key or a service key. Throws TOKEN_INVALID, TOKEN_EXPIRED,
 * TOKEN_SUPERSEDED, SESSION_REVOKED, SESSION_EXPIRED or API_KEY_INVALID.
 */
export function bearerTokenReader(deps: BearerTokenDeps) {
  const { orm, now, access, sessions, apiKeys, serviceKeys, callerReaders } = deps;
  const readServiceKey = serviceKeyReader(serviceKeys, deps.projects);
  const readLegacyToken = legacyTokenReader(deps.legacySecrets);
  return async (bearer: string, call: Call): Promise<Caller> => {
    const kind = kindOfCredential(bearer);
    if (kind === 'service key') return readServiceKey(bearer);
    const isLegacyRead = kind === 'access token' && call.contextValues.get(kSurface) === 'supabase';
    const legacy = isLegacyRead ? readLegacyToken(bearer, now()) : undefined;
    if (legacy) return legacy;
    const autocommit = new Autocommit(orm, call.signal);
    if (kind === 'api key') return apiKeys.callerOf(autocommit, bearer);
    const claims = await access.read(bearer, now());
    const read = callerReaders.get(call.method);
    return read ? read(autocommit, claims, call) : sessions.callerOf(autocommit, claims);
  };
}
