import type { ServiceImpl } from '@connectrpc/connect';
import type { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import type { KeyLookup } from '../api-key/key-lookup.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import type { Paging } from '../rpc/paging.ts';
import type { AccessTokens, TokenSubject } from './access-token.ts';
import { getSessionMethod } from './get-session.ts';
import { introspectMethod } from './introspect.ts';
import { listSessionsMethod } from './list-sessions.ts';
import { type RefreshedUser, type RotationRules, refreshMethod } from './refresh.ts';
import { revokeSessionMethod } from './revoke-session.ts';
import type { SessionLookup } from './session-lookup.ts';
import type { SessionOpener } from './session-opener.ts';
import { signOutMethod } from './sign-out.ts';

export interface SessionDeps<WithUser extends TokenSubject = TokenSubject> {
  readonly now: Clock;
  readonly paging: Paging;
  readonly keys: MasterKeys;
  readonly access: AccessTokens;
  readonly opener: SessionOpener;
  readonly sessions: SessionLookup;
  readonly apiKeys: KeyLookup;
  /** For statements that serve several calls at once. */
  readonly shared: Autocommit;
  readonly rotationRules: RotationRules;
  readonly refreshedUser: RefreshedUser<WithUser>;
}

export function sessionService<WithUser extends TokenSubject>(
  deps: SessionDeps<WithUser>,
): ServiceImpl<typeof SessionService> {
  return {
    ...refreshMethod(deps),
    ...signOutMethod(deps),
    ...listSessionsMethod(deps),
    ...getSessionMethod(),
    ...revokeSessionMethod(deps),
    ...introspectMethod(deps),
  };
}
