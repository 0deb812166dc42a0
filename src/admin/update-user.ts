import { isFieldSet, type JsonObject } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type UpdateUserRequest, UpdateUserRequestSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import type { ActionOn } from '../audit/draft.ts';
import { audit } from '../audit/event.ts';
import { recipientOf, type UserMail } from '../auth/user-mail.ts';
import { faultOf } from '../database/sqlstate.ts';
import { Refusal } from '../errors.ts';
import { voidedByPassword, voidFor } from '../one-time/token.ts';
import { anyCaller, caller, change, projectOf, reads } from '../rpc/context.ts';
import { revokeSessions } from '../session/revocation.ts';
import { emailKey } from '../user/email.ts';
import { systemRoleOf } from '../user/message.ts';
import { changeMetadata } from '../user/metadata.ts';
import { recordOperator } from '../user/operator.ts';
import { findUser, lockUser, type User } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { lockWithOperator } from './last-operator.ts';
import { managedUserToMessage } from './message.ts';

export function updateUser(deps: AdminDeps): AdminMethods['updateUser'] {
  const { now, userMail } = deps;
  return async (request, context) => {
    const newHash = await hashOf(deps, request, context);
    const at = now();
    const user = await change(
      context,
      async (em) => {
        const user = await lockForUpdate(em, context, request, at);
        const isService = anyCaller(context).kind === 'service';
        if (!isService) requireRight(request, user, context);
        if (isMove(request, user)) await leaveAddress(em, userMail, user, at);
        for (const action of apply(isService ? request : unvouched(request, user), user, at))
          audit(em, context, { action, userId: user.id }, at);
        if (request.role !== undefined) await recordOperator(em, user);
        if (newHash) await replacePassword(em, deps, user, newHash, at);
        return user;
      },
      { users: [request.userId] },
    ).catch(explainConflict);
    return {
      user: managedUserToMessage(user, at),
      appMetadata: user.appMetadata as JsonObject,
      userMetadata: user.userMetadata as JsonObject,
    };
  };
}

/** Throws CALLER_NOT_ALLOWED for an operator: nobody but a backend chooses a password for somebody. */
async function hashOf(
  { passwords }: AdminDeps,
  { password, userId, email, name }: UpdateUserRequest,
  context: HandlerContext,
): Promise<string | undefined> {
  if (!password) return undefined;
  if (anyCaller(context).kind !== 'service') throw new Refusal('CALLER_NOT_ALLOWED');
  const known = await findUser(reads(context), projectOf(context), userId);
  return passwords.hashNew(password, [email ?? known.email ?? '', name ?? known.name], context);
}

async function replacePassword(
  em: EntityManager,
  { userMail, passwordFailures, ownPasswordFailures }: AdminDeps,
  user: User,
  newHash: string,
  now: Date,
): Promise<void> {
  Object.assign(user, { passwordHash: newHash, pendingEmail: null });
  await revokeSessions(em, { userId: user.id }, 'password_changed', now);
  await voidFor(em, user.id, now, voidedByPassword);
  // Failures at the old password say nothing about the new one.
  if (user.emailKey) await passwordFailures.clear(em, user.projectId, user.emailKey);
  await ownPasswordFailures.clear(em, user.projectId, user.id);
  if (user.email) await userMail.notifyPasswordChanged(em, recipientOf(user), now);
}

function lockForUpdate(em: EntityManager, context: HandlerContext, { userId, role }: UpdateUserRequest, now: Date) {
  if (role === undefined) return lockUser(em, projectOf(context), userId);
  const self = role === SystemRole.OPERATOR ? undefined : 'CANNOT_DEMOTE_SELF';
  return lockWithOperator(em, context, { userId, self }, now);
}

/**
 * Throws CALLER_NOT_ALLOWED for what only a service key may do.
 *
 * Attack: an operator who gives another operator an address of their own, or marks one as verified that an operator has
 * set, signs in there by mail.
 */
function requireRight(request: UpdateUserRequest, user: User, context: HandlerContext): void {
  const { email, emailVerified, mustChangePassword } = request;
  const isSelf = caller(context).userId === user.id;
  const changesAccess = [email, emailVerified, mustChangePassword].some((each) => each !== undefined);
  if (user.systemRole === 'operator' && changesAccess && !isSelf) throw new Refusal('CALLER_NOT_ALLOWED');
  const vouches = emailVerified === true && !user.emailVerifiedAt && !isMove(request, user);
  if (vouches && user.establishedAt) throw new Refusal('CALLER_NOT_ALLOWED');
}

/** Without `email_verified` next to a new address: an address that an operator sets starts unverified. */
function unvouched(request: UpdateUserRequest, user: User): UpdateUserRequest {
  return isMove(request, user) ? { ...request, emailVerified: undefined } : request;
}

/** Whether the user gets another address. The same address in other letters is not one, and the user keeps their spelling. */
function isMove({ email }: UpdateUserRequest, user: User): boolean {
  return email !== undefined && emailKey(email) !== user.emailKey;
}

/**
 * Before a user gets another address: sends a notice to the old one, and voids the links that were sent there. A guest has
 * to register instead, which also opens their account.
 */
async function leaveAddress(em: EntityManager, userMail: UserMail, user: User, now: Date): Promise<void> {
  if (user.isAnonymous) throw new Refusal('REGISTRATION_REQUIRED');
  await voidFor(em, user.id, now);
  if (user.email) await userMail.notifyEmailChanged(em, recipientOf(user), now);
}

/** Returns the actions for the audit trail. A change of role is an event of its own, next to one for the other fields. */
function apply(request: UpdateUserRequest, user: User, now: Date): ActionOn<'user'>[] {
  const { name, email, emailVerified, role, mustChangePassword, appMetadata, userMetadata } = request;
  const newRole = role === undefined ? user.systemRole : systemRoleOf(role);
  const isRoleChanged = newRole !== user.systemRole;
  if (email !== undefined && isMove(request, user)) user.moveTo(email, now);
  // Somebody who was verified once is more than a registration that the owner of the address may reject.
  if (emailVerified === false && user.emailVerifiedAt) user.establishedAt = now;
  if (emailVerified !== undefined) user.emailVerifiedAt = emailVerified ? (user.emailVerifiedAt ?? now) : null;
  Object.assign(user, changeMetadata(user, { appMetadata, userMetadata }));
  user.name = name ?? user.name;
  user.systemRole = newRole;
  user.mustChangePassword = mustChangePassword ?? user.mustChangePassword;
  user.updatedAt = now;
  if (!isRoleChanged) return ['user.update'];
  const roleChange = newRole === 'operator' ? 'user.grant_operator' : 'user.revoke_operator';
  return hasOtherFields(request) ? [roleChange, 'user.update'] : [roleChange];
}

/** Whether the request changes more than the role. Asks the contract for its fields, so that none is forgotten. */
function hasOtherFields(request: UpdateUserRequest): boolean {
  const { fields } = UpdateUserRequestSchema;
  return fields.some((each) => !['user_id', 'role'].includes(each.name) && isFieldSet(request, each));
}

function explainConflict(error: unknown): never {
  throw faultOf(error) === 'unique' ? new Refusal('EMAIL_ALREADY_REGISTERED', { cause: error }) : error;
}
