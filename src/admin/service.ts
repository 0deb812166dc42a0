import { durationMs } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { revokeInvitesBy } from '../account/invites/invites.ts';
import type { Joining } from '../account/invites/joining.ts';
import { leaveAccounts } from '../account/members.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { change, projectOf, reads } from '../rpc/context.ts';
import { revokeSessions } from '../session/revocation.ts';
import { userToMessage } from '../user/message.ts';
import type { Passwords } from '../user/password.ts';
import { createUser, findUser, forGood, lockUser } from '../user/user.ts';
import { auditMethods } from './audit-events.ts';
import { type ImpersonationDeps, impersonationMethods } from './impersonation.ts';
import { inviteCodeMethods } from './invite-codes.ts';
import { lockWithOperator } from './operator-lock.ts';
import { type PasswordResetDeps, passwordResetMethods } from './password-reset.ts';
import { type SettingsDeps, settingsMethods } from './settings.ts';
import { type KeyDeps, signingKeyMethods } from './signing-keys.ts';
import { userListMethods } from './user-list.ts';
import { userUpdateMethods } from './user-update.ts';

interface Deps extends SettingsDeps, KeyDeps, ImpersonationDeps, PasswordResetDeps {
  readonly passwords: Passwords;
  readonly joining: Joining;
}

export function adminService(deps: Deps): ServiceImpl<typeof AdminService> {
  return {
    ...userMethods(deps),
    ...userListMethods(deps),
    ...userUpdateMethods(deps),
    ...passwordResetMethods(deps),
    ...impersonationMethods(deps),
    ...settingsMethods(deps),
    ...signingKeyMethods(deps),
    ...auditMethods(),
    ...inviteCodeMethods(deps.now),
  };
}

function userMethods({ now, passwords, joining }: Deps) {
  return {
    async createUser({ email, password, passwordHash: foreign, name, emailVerified, mustChangePassword }, context) {
      if (password && foreign)
        throw new Refusal('INVALID_ARGUMENT', {
          fields: [{ field: 'password_hash', description: 'not with a password' }],
        });
      const hashed = password ? await passwords.hashNew(password, [email, name], context.signal) : null;
      const passwordHash = foreign ? passwords.takeOver(foreign) : hashed;
      const at = now();
      const registration = {
        projectId: projectOf(context),
        email,
        name,
        passwordHash,
        emailVerified,
        mustChangePassword,
      };
      const user = await change(context, async (em) => {
        const user = await createUser(em, registration, at);
        await joining.open(em, user, at);
        audit(em, context, { action: 'user.create', userId: user.id }, at);
        return user;
      });
      return { user: userToMessage(user, at) };
    },

    async getUser({ userId }, context) {
      return { user: userToMessage(await findUser(reads(context), projectOf(context), userId), now()) };
    },

    async banUser({ userId, duration }, context) {
      const at = now();
      const until = duration ? new Date(Math.min(at.getTime() + durationMs(duration), forGood.getTime())) : forGood;
      const user = await change(context, async (em) => {
        const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_REMOVE_SELF' }, at);
        user.ban(until, at);
        await revokeSessions(em, { userId }, 'banned', at);
        await voidFor(em, userId, at);
        await revokeInvitesBy(em, userId, at);
        audit(em, context, { action: 'user.ban', userId }, at);
        return user;
      });
      return { user: userToMessage(user, at) };
    },

    async unbanUser({ userId }, context) {
      const at = now();
      const user = await change(context, async (em) => {
        const user = await lockUser(em, projectOf(context), userId);
        user.ban(null, at);
        audit(em, context, { action: 'user.unban', userId }, at);
        return user;
      });
      return { user: userToMessage(user, at) };
    },

    async deleteUser({ userId }, context) {
      const at = now();
      await change(context, async (em) => {
        const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_REMOVE_SELF' }, at);
        await leaveAccounts(em, userId, at);
        user.delete(at);
        await revokeSessions(em, { userId }, 'deleted', at);
        await voidFor(em, userId, at);
        audit(em, context, { action: 'user.delete', userId }, at);
      });
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}
