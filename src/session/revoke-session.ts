import type { ServiceImpl } from '@connectrpc/connect';
import type { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { audit } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { caller, change } from '../rpc/context.ts';
import { revokeSessions } from './revocation.ts';

/** Revokes one of the caller's other sessions. A session of another user is SESSION_NOT_FOUND, like an unknown id. */
export function revokeSessionMethod({ now }: { readonly now: Clock }) {
  return {
    async revokeSession({ sessionId: id }, context) {
      const { userId, sessionId } = caller(context);
      // A UUID has two spellings; PostgreSQL takes both.
      if (id.toLowerCase() === sessionId) throw new Refusal('CANNOT_DELETE_CURRENT_SESSION');
      const revoked = await change(context, async (em) => {
        const [revoked] = await revokeSessions(em, { userId, only: id }, 'revoked', now());
        if (revoked?.wasLive) audit(em, context, { action: 'session.revoke', sessionId: id }, now());
        return revoked;
      });
      // After the commit: an expired session is not found, and is revoked all the same, so that no refresh prolongs it.
      if (!revoked?.wasLive) throw new Refusal('SESSION_NOT_FOUND');
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}
