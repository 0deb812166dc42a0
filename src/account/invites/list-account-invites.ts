import { ownPage } from '../../session/own-page.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { ofAccount, requireAtLeast, type Standing } from '../members.ts';
import { inviteToMessage } from '../message.ts';
import { type ShownInvite, shownInviteColumns } from './invite.ts';

/** The invitations to an account of the caller. The method decides whether the caller's role suffices to see them. */
export const ownInvites = ownPage<ShownInvite, Standing>(
  'account_invites_list',
  {
    key: 'id',
    columns: `shown.id, shown.email, shown.role, shown."inviterId", shown."createdAt", shown."expiresAt", shown."usedAt",
     shown."revokedAt"`,
    items: `select ${shownInviteColumns} from account_invites
     where account_id = :named::uuid and caller."ownRole" is not null and (:after::uuid is null or id < :after)
     order by id desc limit :limit`,
  },
  ofAccount,
);

export function listAccountInvites({ paging }: AccountDeps): AccountMethods['listAccountInvites'] {
  return async (request, context) => {
    requireAtLeast(ownInvites.standingOf(context).ownRole, 'admin');
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, async (page) =>
      ownInvites.itemsOf(context, page),
    );
    return { invites: rows.map(inviteToMessage), nextPageToken };
  };
}
