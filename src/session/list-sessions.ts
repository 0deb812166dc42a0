import type { ServiceImpl } from '@connectrpc/connect';
import type { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { currentEpoch } from '../project/project.ts';
import { autocommit, caller } from '../rpc/context.ts';
import type { Paging } from '../rpc/paging.ts';
import { type HeldState, requireLive, stateOfCaller } from './caller-lock.ts';
import { sessionToMessage } from './message.ts';
import { isLive, type ShownSession, shownColumns, shownColumnsOf } from './session.ts';

interface Page {
  readonly projectId: string;
  readonly userId: string;
  /** The caller's. */
  readonly sessionId: string;
  readonly tokenEpoch: number;
  readonly now: Date;
  /** The last session of the page before. */
  readonly after: string | null;
  readonly limit: number;
}

/** With the state of the caller's session. At least one row, without a session when the page is empty. */
type Listed = { [Column in keyof ShownSession]: ShownSession[Column] | null } & { readonly state: HeldState };

// Hot: pages through the partial index on the user's live sessions. The epoch of their project is read once, not for each.
const list = statement<Listed, Page>(
  'sessions_list',
  `select caller.state, ${shownColumnsOf('shown')}
   from (select ${stateOfCaller} as state) caller left join lateral (
     select ${shownColumns} from sessions s
     where s.user_id = :userId and ${isLive('s', ':now', currentEpoch(':projectId'))} and (:after::uuid is null or s.id < :after)
     order by s.id desc limit :limit) shown on true
   order by shown.id desc`,
);

/** Of any user, without a look at the caller's session. */
export const liveSessions = statement<ShownSession, Omit<Page, 'projectId' | 'sessionId' | 'tokenEpoch'>>(
  'sessions_list_of_user',
  `select ${shownColumns} from sessions s
   where s.user_id = :userId and ${isLive('s')} and (:after::uuid is null or s.id < :after)
   order by s.id desc limit :limit`,
);

async function readPage(on: Autocommit, page: Page): Promise<ShownSession[]> {
  const rows = await list(on, page);
  requireLive(rows[0]!.state);
  return rows.filter((row) => row.id !== null) as unknown as ShownSession[];
}

/** The caller's live sessions, newest first. */
export function listSessionsMethod({ now, paging }: { readonly now: Clock; readonly paging: Paging }) {
  return {
    async listSessions(request, context) {
      const { projectId, userId, sessionId, tokenEpoch } = caller(context);
      const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, ({ after, limit }) =>
        readPage(autocommit(context), {
          ...{ projectId, userId, sessionId, tokenEpoch },
          ...{ now: now(), after: after ?? null, limit },
        }),
      );
      return { sessions: rows.map((each) => sessionToMessage(each, sessionId)), nextPageToken };
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}
