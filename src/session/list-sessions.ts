import type { ServiceImpl } from '@connectrpc/connect';
import type { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { autocommit, caller } from '../rpc/context.ts';
import type { Paging } from '../rpc/paging.ts';
import { sessionToMessage } from './message.ts';
import { isLive, type ShownSession, shownColumns } from './session.ts';

interface Page {
  readonly userId: string;
  readonly now: Date;
  /** The last session of the page before. */
  readonly after: string | null;
  readonly limit: number;
}

// Hot: pages through the partial index on the user's live sessions.
export const liveSessions = statement<ShownSession, Page>(
  'sessions_list',
  `select ${shownColumns} from sessions s
   where s.user_id = :userId and ${isLive('s')} and (:after::uuid is null or s.id < :after)
   order by s.id desc limit :limit`,
);

/** The caller's live sessions, newest first. */
export function listSessionsMethod({ now, paging }: { readonly now: Clock; readonly paging: Paging }) {
  return {
    async listSessions(request, context) {
      const { userId, sessionId } = caller(context);
      const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, ({ after, limit }) =>
        liveSessions(autocommit(context), { userId, now: now(), after: after ?? null, limit }),
      );
      return { sessions: rows.map((each) => sessionToMessage(each, sessionId)), nextPageToken };
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}
