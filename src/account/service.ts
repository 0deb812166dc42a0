import { addMember } from './add-member.ts';
import { applyBillingEvent } from './billing/apply-billing-event.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { getAccount } from './get-account.ts';
import { acceptAccountInvite } from './invites/accept-account-invite.ts';
import { createAccountInvite } from './invites/create-account-invite.ts';
import { listAccountInvites } from './invites/list-account-invites.ts';
import { revokeAccountInvite } from './invites/revoke-account-invite.ts';
import { listAccounts } from './list-accounts.ts';
import { listMembers } from './list-members.ts';
import { removeMember } from './remove-member.ts';
import { switchAccount } from './switch-account.ts';
import { updateAccount } from './update-account.ts';
import { updateMember } from './update-member.ts';
import { consumeUsage } from './usage/consume-usage.ts';
import { getReferral } from './usage/get-referral.ts';
import { getUsage } from './usage/get-usage.ts';
import { redeemReferral } from './usage/redeem-referral.ts';

export function accountService(deps: AccountDeps): AccountMethods {
  return {
    getAccount,
    listAccounts: listAccounts(deps),
    updateAccount: updateAccount(deps),
    switchAccount: switchAccount(deps),
    listMembers: listMembers(deps),
    addMember: addMember(deps),
    updateMember: updateMember(deps),
    removeMember: removeMember(deps),
    createAccountInvite: createAccountInvite(deps),
    listAccountInvites: listAccountInvites(deps),
    revokeAccountInvite: revokeAccountInvite(deps),
    acceptAccountInvite: acceptAccountInvite(deps),
    getUsage: getUsage(deps),
    consumeUsage: consumeUsage(deps),
    getReferral: getReferral(deps),
    redeemReferral: redeemReferral(deps),
    applyBillingEvent: applyBillingEvent(deps),
  };
}
