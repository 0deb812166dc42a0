import { audit } from '../../audit/event.ts';
import { caller, change } from '../../rpc/context.ts';
import { lockUser } from '../../user/user.ts';
import { requireVerifiedMailbox } from '../../user/verified-mailbox.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { accountToMessage } from '../message.ts';
import { accountOf } from '../shown-account.ts';
import { joinByInvite, takeAccountInvite } from './take-invite.ts';

export function acceptAccountInvite(deps: AccountDeps): AccountMethods['acceptAccountInvite'] {
  const { now } = deps;
  return async ({ accountInviteCode: code }, context) => {
    const { projectId, userId } = caller(context);
    const at = now();
    const account = await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      const invite = await takeAccountInvite(em, { projectId, code, email: user.email ?? '' }, at);
      if (invite.provesMailbox && !user.emailVerifiedAt) {
        user.emailVerifiedAt = at;
        user.updatedAt = at;
        audit(em, context, { action: 'auth.email_verified' }, at);
      }
      // After the code is checked: a user with a code for another address learns nothing else about it.
      await requireVerifiedMailbox(em, deps, user);
      const accountId = await joinByInvite(em, { userId, invite }, at);
      audit(em, context, { action: 'account.join', entityId: accountId }, at);
      return accountOf(em, { projectId, accountId, userId });
    });
    return { account: accountToMessage(account) };
  };
}
