import type { JsonObject } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AdminService, UpdateUserRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Action } from '../audit/draft.ts';
import { audit } from '../audit/event.ts';
import { recipientOf, type UserMail } from '../auth/user-mail.ts';
import type { Clock } from '../database/clock.ts';
import { faultOf } from '../database/sqlstate.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { change, projectOf } from '../rpc/context.ts';
import { endProjectSessions } from '../session/project-sessions.ts';
import { revokeSessions } from '../session/revocation.ts';
import { emailKey } from '../user/email.ts';
import { userToMessage } from '../user/message.ts';
import { lockUser, type User } from '../user/user.ts';
import { mergeMetadata } from './metadata.ts';
import { lockWithOperator } from './operator-lock.ts';

interface UserUpdateDeps {
  readonly now: Clock;
  readonly userMail: UserMail;
}

export function userUpdateMethods({ now, userMail }: UserUpdateDeps) {
  return {
    async updateUser(request, context) {
      const at = now();
      const user = await change(context, async (em) => {
        const user = await lockForUpdate(em, context, request, at);
        if (request.email !== undefined) await leaveAddress(em, userMail, { user, email: request.email }, at);
        for (const action of apply(request, user, at)) audit(em, context, { action, userId: user.id }, at);
        return user;
      }).catch(explainConflict);
      return {
        user: userToMessage(user, at),
        appMetadata: user.appMetadata as JsonObject,
        userMetadata: user.userMetadata as JsonObject,
      };
    },

    async revokeUserSessions({ whose }, context) {
      const at = now();
      const projectId = projectOf(context);
      await change(context, async (em) => {
        if (whose.case !== 'userId') {
          await endProjectSessions(em, projectId, at);
          audit(em, context, { action: 'project.revoke_sessions' }, at);
          return;
        }
        const { id: userId } = await lockUser(em, projectId, whose.value);
        await revokeSessions(em, { userId }, 'operator', at);
        audit(em, context, { action: 'user.revoke_sessions', userId }, at);
      });
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

function lockForUpdate(em: EntityManager, context: HandlerContext, { userId, role }: UpdateUserRequest, now: Date) {
  if (role === undefined) return lockUser(em, projectOf(context), userId);
  return lockWithOperator(em, context, { userId, self: role === 'operator' ? undefined : 'CANNOT_DEMOTE_SELF' }, now);
}

/**
 * Before a user gets another address: whoever reads the old one is told, and what was sent there is void. A guest has to
 * register, which also opens their account.
 */
async function leaveAddress(
  em: EntityManager,
  userMail: UserMail,
  { user, email }: { user: User; email: string },
  now: Date,
): Promise<void> {
  if (user.isAnonymous) throw new Refusal('REGISTRATION_REQUIRED');
  if (emailKey(email) === user.emailKey) return;
  await voidFor(em, user.id, now);
  await userMail.notifyEmailChanged(em, recipientOf(user), now);
}

/** Answers with what the audit trail calls it: a change of role is an event of its own, whatever else comes with it. */
function apply(request: UpdateUserRequest, user: User, now: Date): Action[] {
  const { name, email, emailVerified, role, mustChangePassword, appMetadata, userMetadata } = request;
  const before = user.systemRole;
  if (email !== undefined) user.moveTo(email.trim(), emailKey(email));
  if (emailVerified !== undefined) user.emailVerifiedAt = emailVerified ? (user.emailVerifiedAt ?? now) : null;
  if (appMetadata) user.appMetadata = mergeMetadata('app_metadata', user.appMetadata, appMetadata);
  if (userMetadata) user.userMetadata = mergeMetadata('user_metadata', user.userMetadata, userMetadata);
  user.name = name ?? user.name;
  user.systemRole = role ?? user.systemRole;
  user.mustChangePassword = mustChangePassword ?? user.mustChangePassword;
  user.updatedAt = now;
  if (before === user.systemRole) return ['user.update'];
  const others = [name, email, emailVerified, mustChangePassword, appMetadata, userMetadata];
  const event = user.systemRole === 'operator' ? 'user.grant_operator' : 'user.revoke_operator';
  return others.some((each) => each !== undefined) ? [event, 'user.update'] : [event];
}

function explainConflict(error: unknown): never {
  throw faultOf(error) === 'unique' ? new Refusal('EMAIL_ALREADY_REGISTERED', { cause: error }) : error;
}
