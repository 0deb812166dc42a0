import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { type SessionService, SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { audit } from '../audit/event.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import { caller, change, projectOf } from '../rpc/context.ts';
import { readRefreshToken } from './refresh-token.ts';
import { revokeByRefreshToken, revokeSessions } from './revocation.ts';

interface SignOutDeps {
  readonly now: Clock;
  readonly keys: MasterKeys;
}

/** Revokes the session of a refresh token, or sessions of the caller. An invalid refresh token is not an error. */
export function signOutMethod(deps: SignOutDeps) {
  return {
    async signOut({ refreshToken, scope }, context) {
      if (refreshToken) await signOutByRefreshToken(deps, refreshToken, context);
      else await signOutByScope(deps, scope, context);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}

async function signOutByRefreshToken({ now, keys }: SignOutDeps, text: string, context: HandlerContext): Promise<void> {
  const token = readRefreshToken(keys, projectOf(context), text);
  if (!token) return;
  await change(
    context,
    async (em) => {
      const revoked = await revokeByRefreshToken(em, projectOf(context), token, now());
      if (revoked) audit(em, context, { action: 'auth.logout', userId: revoked.user_id, sessionId: revoked.id }, now());
    },
    { users: [token.userId], ignoresCaller: true },
  );
}

async function signOutByScope({ now }: SignOutDeps, scope: SignOutScope, context: HandlerContext): Promise<void> {
  const { userId, sessionId, impersonatorId } = caller(context);
  // An operator who acts as a user revokes only the impersonation session.
  const narrowed =
    scope === SignOutScope.LOCAL || impersonatorId
      ? { only: sessionId }
      : scope === SignOutScope.OTHERS
        ? { except: sessionId }
        : {};
  await change(context, async (em) => {
    await revokeSessions(em, { userId, ...narrowed }, 'sign_out', now());
    audit(em, context, { action: 'auth.logout' }, now());
  });
}
