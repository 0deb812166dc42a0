import { statement } from '../database/statement.ts';
import { autocommit, caller } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { accountToMessage } from './message.ts';
import { type ShownAccount, shownColumns, shownTables } from './shown-account.ts';

// The accounts joined last come first.
const accountsOfUser = statement<ShownAccount, Page & { userId: string }>(
  'accounts_list',
  `select ${shownColumns} from ${shownTables}
   where m.user_id = :userId and (:after::uuid is null or m.id < :after) order by m.id desc limit :limit`,
);

export function listAccounts({ paging }: AccountDeps): AccountMethods['listAccounts'] {
  return async (request, context) => {
    const { userId } = caller(context);
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'membershipId' }, (page) =>
      accountsOfUser(autocommit(context), { userId, ...page }),
    );
    return { accounts: rows.map(accountToMessage), nextPageToken };
  };
}
