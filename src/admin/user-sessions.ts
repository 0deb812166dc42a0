import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, projectOf, reads } from '../rpc/context.ts';
import { liveSessions } from '../session/list-sessions.ts';
import { sessionToMessage } from '../session/message.ts';
import { revokeSessions } from '../session/revocation.ts';
import { findUser, lockUser } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';

export function listUserSessions({ now, paging }: AdminDeps): AdminMethods['listUserSessions'] {
  return async (request, context) => {
    const { id: userId } = await findUser(reads(context), projectOf(context), request.userId);
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, ({ after, limit }) =>
      liveSessions(autocommit(context), { userId, now: now(), after: after ?? null, limit }),
    );
    return { sessions: rows.map((each) => sessionToMessage(each)), nextPageToken };
  };
}

export function revokeUserSession({ now }: AdminDeps): AdminMethods['revokeUserSession'] {
  return async (request, context) => {
    const at = now();
    const sessionId = request.sessionId.toLowerCase();
    const revoked = await change(
      context,
      async (em) => {
        const { id: userId } = await lockUser(em, projectOf(context), request.userId);
        const [revoked] = await revokeSessions(em, { userId, only: sessionId }, 'operator', at);
        if (revoked?.wasLive) audit(em, context, { action: 'session.revoke', userId, sessionId }, at);
        return revoked;
      },
      { users: [request.userId] },
    );
    // After the commit, as in RevokeSession.
    if (!revoked?.wasLive) throw new Refusal('SESSION_NOT_FOUND');
    return {};
  };
}
