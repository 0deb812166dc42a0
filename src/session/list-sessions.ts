import type { ServiceImpl } from '@connectrpc/connect';
import type { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { statement } from '../database/statement.ts';
import { caller } from '../rpc/context.ts';
import type { Paging } from '../rpc/paging.ts';
import { sessionToMessage } from './message.ts';
import { ownPage } from './own-page.ts';
import { isLive, type ShownSession, shownColumns, shownColumnsOf } from './session.ts';

interface Page {
  readonly userId: string;
  readonly now: Date;
  /** The last session of the page before. */
  readonly after: string | null;
  readonly limit: number;
}

// Hot: pages through the partial index on the user's live sessions. The epoch of their project is read once, not for each.
export const ownSessions = ownPage<ShownSession>('sessions_list', {
  key: 'id',
  columns: shownColumnsOf('shown'),
  items: `select ${shownColumns} from sessions s
     where s.user_id = :userId and ${isLive('s', ':now', 'caller.epoch')} and (:after::uuid is null or s.id < :after)
     order by s.id desc limit :limit`,
});

/** Of any user, without a look at the caller's session. */
export const liveSessions = statement<ShownSession, Page>(
  'sessions_list_of_user',
  `select ${shownColumns} from sessions s
   where s.user_id = :userId and ${isLive('s')} and (:after::uuid is null or s.id < :after)
   order by s.id desc limit :limit`,
);

/** The caller's live sessions, newest first. */
export function listSessionsMethod({ paging }: { readonly paging: Paging }) {
  return {
    async listSessions(request, context) {
      const { sessionId } = caller(context);
      const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, async (page) =>
        ownSessions.itemsOf(context, page),
      );
      return { sessions: rows.map((each) => sessionToMessage(each, sessionId)), nextPageToken };
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}
