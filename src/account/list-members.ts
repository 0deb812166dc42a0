import { statement } from '../database/statement.ts';
import { anyCaller, autocommit, projectOf } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { ownPlace, requireRole, type ShownMember, shownColumns } from './members.ts';
import { memberToMessage } from './message.ts';
import { anyAccount } from './shown-account.ts';

// The members who joined last come first.
const membersOf = statement<ShownMember, Page & { accountId: string }>(
  'members_list',
  `select ${shownColumns} from memberships m join users u on u.id = m.user_id
   where m.account_id = :accountId and (:after::uuid is null or m.id < :after) order by m.id desc limit :limit`,
);

export function listMembers({ paging }: AccountDeps): AccountMethods['listMembers'] {
  return async (request, context) => {
    const { accountId } = request;
    const on = autocommit(context);
    if (anyCaller(context).kind === 'service') await anyAccount(on, { projectId: projectOf(context), accountId });
    else await requireRole(on, ownPlace(context, accountId), 'viewer');
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'membershipId' }, (page) =>
      membersOf(on, { accountId, ...page }),
    );
    return { members: rows.map(memberToMessage), nextPageToken };
  };
}
