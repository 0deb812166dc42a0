import type { ServiceImpl } from '@connectrpc/connect';
import type { AccountService } from '../../../gen/gatehouse/v1/account_pb.ts';
import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { autocommit, caller, change } from '../../rpc/context.ts';
import { pageOf } from '../../rpc/paging.ts';
import { lockUser } from '../../user/user.ts';
import { accountOf } from '../account.ts';
import { ownPlace, requireRole } from '../members.ts';
import { accountToMessage, inviteToMessage, roleOf } from '../message.ts';
import type { Deps } from '../service.ts';
import { joinByInvite, takeAccountInvite } from './invite.ts';
import { mailInvitation } from './invite-mail.ts';
import { createInvite, listInvites, revokeInvite } from './invites.ts';

type Methods = Pick<
  ServiceImpl<typeof AccountService>,
  'createAccountInvite' | 'listAccountInvites' | 'revokeAccountInvite' | 'acceptAccountInvite'
>;

export function inviteMethods(deps: Deps): Methods {
  const { now, messages } = deps;
  return {
    async createAccountInvite({ accountId, email, role }, context) {
      const { projectId, userId: inviterId } = caller(context);
      const draft = { projectId, accountId, email, role: roleOf(role), inviterId };
      const { invite, code, mailed } = await change(context, async (em) => {
        const made = await createInvite(em, draft, now());
        const mailed = await mailInvitation(deps, em, made, now());
        audit(em, context, { action: 'account.invite' }, now());
        return { ...made, mailed };
      });
      const link = messages.invitationLink(code);
      return { invite: inviteToMessage(invite), accountInviteCode: code, link, mailed };
    },

    async listAccountInvites(request, context) {
      const { accountId } = request;
      await requireRole(autocommit(context), ownPlace(context, accountId), 'admin');
      const { rows, nextPageToken } = await pageOf(request, 'id', (page) =>
        listInvites(autocommit(context), accountId, page),
      );
      return { invites: rows.map(inviteToMessage), nextPageToken };
    },

    async revokeAccountInvite({ accountId, inviteId }, context) {
      const place = ownPlace(context, accountId);
      await change(context, async (em) => {
        await requireRole(em, place, 'admin');
        await revokeInvite(em, place, inviteId, now());
        audit(em, context, { action: 'account.invite_revoke' }, now());
      });
      return {};
    },

    async acceptAccountInvite({ accountInviteCode: code }, context) {
      const { projectId, userId } = caller(context);
      const account = await change(context, async (em) => {
        const user = await lockUser(em, projectId, userId);
        const invite = await takeAccountInvite(em, { projectId, code, email: user.email ?? '' }, now());
        // After the code: who holds a code for another address is not told what would be missing with the right one.
        if (!user.emailVerifiedAt) throw new Refusal('EMAIL_NOT_VERIFIED');
        const accountId = await joinByInvite(em, userId, invite, now());
        audit(em, context, { action: 'account.join' }, now());
        return accountOf(em, projectId, accountId, userId);
      });
      return { account: accountToMessage(account) };
    },
  };
}
