import { accountsOfUser } from '../account/list-accounts.ts';
import { accountToMessage } from '../account/message.ts';
import { anyAccount, type ShownAccount, unplacedColumns } from '../account/shown-account.ts';
import { statement } from '../database/statement.ts';
import { autocommit, projectOf, reads } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import { findUser } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';

const allAccounts = statement<ShownAccount, Page & { projectId: string }>(
  'accounts_all',
  `select ${unplacedColumns} from accounts a join subscriptions s on s.account_id = a.id
   where a.project_id = :projectId and (:after::uuid is null or a.id < :after) order by a.id desc limit :limit`,
);

export function listAccounts({ paging }: AdminDeps): AdminMethods['listAccounts'] {
  return async (request, context) => {
    const projectId = projectOf(context);
    const on = autocommit(context);
    const userId = request.userId && (await findUser(reads(context), projectId, request.userId)).id;
    const { rows, nextPageToken } = userId
      ? await paging.pageOf(context, request, { key: 'membershipId' }, (page) =>
          accountsOfUser(on, { userId, ...page }),
        )
      : await paging.pageOf(context, request, { key: 'id' }, (page) => allAccounts(on, { projectId, ...page }));
    return { accounts: rows.map(accountToMessage), nextPageToken };
  };
}

export const getAccount: AdminMethods['getAccount'] = async ({ accountId }, context) => ({
  account: accountToMessage(await anyAccount(autocommit(context), { projectId: projectOf(context), accountId })),
});
