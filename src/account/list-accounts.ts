import type { HandlerContext } from '@connectrpc/connect';
import type { ListAccountsRequest } from '../../gen/gatehouse/v1/account_pb.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { anyCaller, autocommit, projectOf, reads } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import { ownPage } from '../session/own-page.ts';
import { findUser } from '../user/user.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { accountToMessage } from './message.ts';
import { type ShownAccount, shownColumns, shownTables } from './shown-account.ts';

// The accounts joined last come first.
export const accountsOfUser = statement<ShownAccount, Page & { userId: string }>(
  'accounts_list',
  `select ${shownColumns} from ${shownTables}
   where m.user_id = :userId and (:after::uuid is null or m.id < :after) order by m.id desc limit :limit`,
);

/** The accounts of the caller. */
export const ownAccounts = ownPage<ShownAccount>('accounts_list_own', {
  key: 'membershipId',
  columns: `shown."membershipId", shown.role, shown.id, shown.name, shown."displayCode", shown."ownerId",
     shown."createdAt", shown.plan, shown.status, shown."periodStart", shown."periodEnd"`,
  items: `select ${shownColumns} from ${shownTables}
     where m.user_id = :userId and (:after::uuid is null or m.id < :after) order by m.id desc limit :limit`,
});

export function listAccounts({ paging }: AccountDeps): AccountMethods['listAccounts'] {
  return async (request, context) => {
    const userId = await namedUser(request, context);
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'membershipId' }, async (page) =>
      userId === undefined
        ? ownAccounts.itemsOf(context, page)
        : accountsOfUser(autocommit(context), { userId, ...page }),
    );
    return { accounts: rows.map(accountToMessage), nextPageToken };
  };
}

/** A user lists their own accounts and may name no user. A backend has to name one. */
async function namedUser({ userId }: ListAccountsRequest, context: HandlerContext): Promise<string | undefined> {
  const caller = anyCaller(context);
  if (caller.kind === 'user' && userId !== undefined) throw new Refusal('CALLER_NOT_ALLOWED');
  if (caller.kind === 'user') return undefined;
  if (userId === undefined)
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'user_id', description: 'required' }] });
  return (await findUser(reads(context), projectOf(context), userId)).id;
}
