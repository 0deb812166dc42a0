import type { HandlerContext } from '@connectrpc/connect';
import { type ShownKey, shownKeyColumns } from '../api-key/api-key.ts';
import { keyToMessage } from '../api-key/message.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller } from '../rpc/context.ts';
import { type HeldState, requireLive, stateOfCaller } from '../session/caller-lock.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';

interface Own {
  readonly userId: string;
  /** The caller's. */
  readonly sessionId: string;
  readonly tokenEpoch: number;
  readonly now: Date;
}

interface Page extends Own {
  /** The last key of the page before. */
  readonly after: string | null;
  readonly limit: number;
}

/** With the state of the caller's session. At least one row, without a key when the page is empty. */
type Listed = { [Column in keyof ShownKey]: ShownKey[Column] | null } & { readonly callerState: HeldState };

const list = statement<Listed, Page>(
  'api_keys_list',
  `select caller."callerState", ${shownKeyColumns}
   from (select ${stateOfCaller} as "callerState") caller left join api_keys k on k.user_id = :userId and k.id in (
     select l.id from api_keys l where l.user_id = :userId and (:after::uuid is null or l.id < :after)
     order by l.id desc limit :limit)
   order by k.id desc`,
);

async function readPage(on: Autocommit, page: Page): Promise<ShownKey[]> {
  const rows = await list(on, page);
  requireLive(rows[0]!.callerState);
  return rows.filter((row) => row.id !== null) as unknown as ShownKey[];
}

/** The caller's keys, newest first. */
export function listApiKeys({ now, paging }: DeviceDeps): DeviceMethods['listApiKeys'] {
  return async (request, context) => {
    const own = ownOf(context, now());
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, ({ after, limit }) =>
      readPage(autocommit(context), { ...own, after: after ?? null, limit }),
    );
    return { apiKeys: rows.map(keyToMessage), nextPageToken };
  };
}

const look = statement<ShownKey, { userId: string; id: string; now: Date }>(
  'api_key_look',
  `select ${shownKeyColumns} from api_keys k where k.user_id = :userId and k.id = :id`,
);

/** One of the caller's keys. Throws API_KEY_NOT_FOUND. */
export async function readOwnKey(context: HandlerContext, id: string, now: Date): Promise<ShownKey> {
  const [found] = await look(autocommit(context), { userId: caller(context).userId, id, now });
  if (!found) throw new Refusal('API_KEY_NOT_FOUND');
  return found;
}

function ownOf(context: HandlerContext, now: Date): Own {
  const { userId, sessionId, tokenEpoch } = caller(context);
  return { userId, sessionId, tokenEpoch, now };
}
