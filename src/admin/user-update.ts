import type { JsonObject } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AdminService, UpdateUserRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Action } from '../audit/draft.ts';
import { audit } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import { faultOf } from '../database/faults.ts';
import { Refusal } from '../errors.ts';
import { change, kCaller, projectOf } from '../rpc/context.ts';
import { endProjectSessions } from '../session/project-sessions.ts';
import { revokeSessions } from '../session/revocation.ts';
import { emailKey } from '../user/email.ts';
import { userToMessage } from '../user/message.ts';
import { lockUser, type User } from '../user/user.ts';
import { mergeMetadata } from './metadata.ts';

export function userUpdateMethods({ now }: { now: Clock }) {
  return {
    async updateUser(request, context) {
      const at = now();
      const user = await change(context, async (em) => {
        const user = await lockForUpdate(em, context, request);
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

/**
 * The user, locked. When the role changes, the operator who changes it is locked too, and must still be one: of two who
 * take the role from each other at once one keeps it.
 */
async function lockForUpdate(em: EntityManager, context: HandlerContext, { userId, role }: UpdateUserRequest) {
  const caller = context.values.get(kCaller);
  const projectId = projectOf(context);
  const id = userId.toLowerCase();
  if (role === undefined || caller instanceof Error || caller?.kind !== 'user') return lockUser(em, projectId, id);
  if (caller.userId === id && role !== 'operator') throw new Refusal('CANNOT_DEMOTE_SELF');
  const locked = new Map<string, User>();
  // In one order, or two calls could each wait for the other.
  for (const each of [...new Set([id, caller.userId])].sort()) locked.set(each, await lockUser(em, projectId, each));
  if (locked.get(caller.userId)!.systemRole !== 'operator') throw new Refusal('CALLER_NOT_ALLOWED');
  return locked.get(id)!;
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
