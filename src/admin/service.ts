import { getAccount, listAccounts } from './accounts.ts';
import { listAuditEvents } from './audit-events.ts';
import { banUser, unbanUser } from './ban-user.ts';
import { createUser } from './create-user.ts';
import { deleteUser } from './delete-user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { generateLink } from './generate-link.ts';
import { getUser } from './get-user.ts';
import { impersonateUser } from './impersonation.ts';
import { createInviteCode, listInviteCodes } from './invite-codes.ts';
import { inviteUser } from './invite-user.ts';
import { listUsers } from './list-users.ts';
import { listOAuthClients } from './oauth-clients.ts';
import { projects } from './projects.ts';
import { revokeUserSessions } from './revoke-user-sessions.ts';
import { sendPasswordReset } from './send-password-reset.ts';
import { getSettings, updateSettings } from './settings.ts';
import { listSigningKeys, revokeSigningKey, rotateSigningKey } from './signing-keys.ts';
import { updateUser } from './update-user.ts';
import { listUserFactors, removeUserFactors, renameUserFactor } from './user-factors.ts';
import { listUserSessions, revokeUserSession } from './user-sessions.ts';

export function adminService(deps: AdminDeps): AdminMethods {
  return {
    createUser: createUser(deps),
    getUser: getUser(deps),
    listUsers: listUsers(deps),
    updateUser: updateUser(deps),
    banUser: banUser(deps),
    unbanUser: unbanUser(deps),
    deleteUser: deleteUser(deps),
    revokeUserSessions: revokeUserSessions(deps),
    listUserSessions: listUserSessions(deps),
    revokeUserSession: revokeUserSession(deps),
    listUserFactors,
    renameUserFactor: renameUserFactor(deps),
    removeUserFactors: removeUserFactors(deps),
    listAccounts: listAccounts(deps),
    getAccount,
    sendPasswordReset: sendPasswordReset(deps),
    inviteUser: inviteUser(deps),
    generateLink: generateLink(deps),
    impersonateUser: impersonateUser(deps),
    createInviteCode: createInviteCode(deps),
    listInviteCodes: listInviteCodes(deps),
    getSettings: getSettings(deps),
    updateSettings: updateSettings(deps),
    listOAuthClients: listOAuthClients(deps),
    ...projects(deps),
    listSigningKeys,
    rotateSigningKey: rotateSigningKey(deps),
    revokeSigningKey: revokeSigningKey(deps),
    listAuditEvents: listAuditEvents(deps),
  };
}
