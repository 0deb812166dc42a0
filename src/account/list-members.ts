import { statement } from '../database/statement.ts';
import { anyCaller, autocommit, projectOf } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import { ownPage } from '../session/own-page.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { ofAccount, requireAtLeast, type ShownMember, type Standing, shownColumns } from './members.ts';
import { memberToMessage } from './message.ts';
import { anyAccount } from './shown-account.ts';

/** SQL: the members of an account, the last who joined first, under a further condition. */
const membersWhere = (condition: string) =>
  `select ${shownColumns} from memberships m join users u on u.id = m.user_id
   where ${condition} and (:after::uuid is null or m.id < :after) order by m.id desc limit :limit`;

/** For backends. */
const membersOf = statement<ShownMember, Page & { accountId: string }>(
  'members_list',
  membersWhere('m.account_id = :accountId'),
);

/** The members of an account of the caller. */
export const ownMembers = ownPage<ShownMember, Standing>(
  'members_list_own',
  {
    key: 'membershipId',
    columns: 'shown."membershipId", shown."userId", shown.email, shown.name, shown.role, shown."joinedAt"',
    items: membersWhere('m.account_id = :named::uuid and caller."ownRole" is not null'),
  },
  ofAccount,
);

export function listMembers({ paging }: AccountDeps): AccountMethods['listMembers'] {
  return async (request, context) => {
    const { accountId } = request;
    const on = autocommit(context);
    const isBackend = anyCaller(context).kind === 'service';
    if (isBackend) await anyAccount(on, { projectId: projectOf(context), accountId });
    else requireAtLeast(ownMembers.standingOf(context).ownRole, 'viewer');
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'membershipId' }, async (page) =>
      isBackend ? membersOf(on, { accountId, ...page }) : ownMembers.itemsOf(context, page),
    );
    return { members: rows.map(memberToMessage), nextPageToken };
  };
}
