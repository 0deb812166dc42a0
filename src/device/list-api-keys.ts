import type { HandlerContext } from '@connectrpc/connect';
import { type ShownKey, shownKeyColumns } from '../api-key/api-key.ts';
import { keyToMessage } from '../api-key/message.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller } from '../rpc/context.ts';
import { ownPage } from '../session/own-page.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';

/** The keys of the caller. */
export const ownApiKeys = ownPage<ShownKey>('api_keys_list', {
  key: 'id',
  columns: `shown.id, shown.name, shown.prefix, shown.scopes, shown."createdAt", shown."expiresAt", shown."lastUsedAt",
     shown."revokedAt", shown.state`,
  items: `select ${shownKeyColumns} from api_keys k where k.user_id = :userId and k.id in (
       select l.id from api_keys l where l.user_id = :userId and (:after::uuid is null or l.id < :after)
       order by l.id desc limit :limit)`,
});

/** The caller's keys, newest first. */
export function listApiKeys({ paging }: DeviceDeps): DeviceMethods['listApiKeys'] {
  return async (request, context) => {
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, async (page) =>
      ownApiKeys.itemsOf(context, page),
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
