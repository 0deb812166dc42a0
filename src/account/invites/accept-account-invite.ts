import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { caller, change } from '../../rpc/context.ts';
import { lockUser } from '../../user/user.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { accountToMessage } from '../message.ts';
import { accountOf } from '../shown-account.ts';
import { joinByInvite, takeAccountInvite } from './take-invite.ts';

export function acceptAccountInvite({ now }: AccountDeps): AccountMethods['acceptAccountInvite'] {
  return async ({ accountInviteCode: code }, context) => {
    const { projectId, userId } = caller(context);
    const account = await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      const invite = await takeAccountInvite(em, { projectId, code, email: user.email ?? '' }, now());
      // After the code is checked: a user with a code for another address learns nothing else about it.
      if (!user.emailVerifiedAt) throw new Refusal('EMAIL_NOT_VERIFIED');
      const accountId = await joinByInvite(em, { userId, invite }, now());
      audit(em, context, { action: 'account.join' }, now());
      return accountOf(em, { projectId, accountId, userId });
    });
    return { account: accountToMessage(account) };
  };
}
