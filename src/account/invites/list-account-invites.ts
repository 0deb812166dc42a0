import { statement } from '../../database/statement.ts';
import { autocommit } from '../../rpc/context.ts';
import type { Page } from '../../rpc/paging.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { ownPlace, requireRole } from '../members.ts';
import { inviteToMessage } from '../message.ts';
import { type ShownInvite, shownInviteColumns } from './invite.ts';

const invitesOf = statement<ShownInvite, Page & { accountId: string }>(
  'account_invites_list',
  `select ${shownInviteColumns}
   from account_invites where account_id = :accountId and (:after::uuid is null or id < :after)
   order by id desc limit :limit`,
);

export function listAccountInvites({ paging }: AccountDeps): AccountMethods['listAccountInvites'] {
  return async (request, context) => {
    const { accountId } = request;
    await requireRole(autocommit(context), ownPlace(context, accountId), 'admin');
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, (page) =>
      invitesOf(autocommit(context), { accountId, ...page }),
    );
    return { invites: rows.map(inviteToMessage), nextPageToken };
  };
}
