import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AuthService, UpdateMeRequest } from '../../gen/gatehouse/v1/auth_pb.ts';
import { leaveAccounts } from '../account/members.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { removeAllFactors } from '../mfa/remove-all-factors.ts';
import { voidFor } from '../one-time/token.ts';
import { requireOwnSignIn } from '../rpc/assurance.ts';
import { caller, change } from '../rpc/context.ts';
import { readCallingUser } from '../session/caller-lock.ts';
import { revokeCredentials } from '../session/revocation.ts';
import { removeIdentities } from '../user/identity.ts';
import { ownUserToMessage } from '../user/message.ts';
import { changeMetadata } from '../user/metadata.ts';
import { lockUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { admitEmailChange, applyEmailChange } from './email-change.ts';
import { padResponseTime } from './response-padding.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'updateMe' | 'deleteMe'>;

export function profile(deps: AuthDeps): Methods {
  const { now, registration } = deps;
  return {
    async updateMe(request, context) {
      const update = () => updateProfile(deps, request, context);
      // Its time must not reveal whether the new address is taken.
      const isPadded = registration.hideRegistration && request.email !== undefined;
      const user = await (isPadded ? padResponseTime(update) : update());
      return { user: ownUserToMessage(user, now()) };
    },

    async deleteMe(_, context) {
      const by = caller(context);
      requireOwnSignIn(by);
      const { projectId, userId } = by;
      const at = now();
      await change(context, async (em) => {
        const user = await lockUser(em, projectId, userId);
        // They could be the last operator. Another operator has to take the role from them first.
        if (user.systemRole === 'operator') throw new Refusal('CANNOT_DEMOTE_SELF');
        await leaveAccounts(em, userId, at);
        user.delete(at);
        await revokeCredentials(em, userId, 'deleted', at);
        await removeAllFactors(em, user);
        await removeIdentities(em, userId);
        await voidFor(em, userId, at);
        audit(em, context, { action: 'user.delete' }, at);
      });
      return {};
    },
  };
}

async function updateProfile(deps: AuthDeps, request: UpdateMeRequest, context: HandlerContext): Promise<User> {
  const { projectId, userId } = caller(context);
  const { email, currentPassword } = request;
  const before = await readCallingUser(context, deps.now());
  const changes = changedFields(request, before);
  const { userMetadata } = request;
  // Refuses a bad value before the password is checked and counted.
  changeMetadata(before, { userMetadata });
  const hasChanges = Object.keys(changes).length > 0 || userMetadata !== undefined;
  const emailChange =
    email === undefined ? undefined : await admitEmailChange(deps, before, { email, currentPassword }, context);
  if (!emailChange && !hasChanges) return before;
  const at = deps.now();
  return change(context, async (em) => {
    const user = await lockUser(em, projectId, userId);
    Object.assign(user, changes, changeMetadata(user, { userMetadata }), { updatedAt: at });
    if (emailChange) await applyEmailChange(em, { userMail: deps.userMail, user, emailChange }, context, at);
    if (hasChanges) audit(em, context, { action: 'auth.profile_update' }, at);
    return user;
  });
}

const fields = ['name', 'phone', 'jobTitle', 'timezone', 'locale'] as const;

/** The fields that were sent with another value than the user has. */
function changedFields(request: UpdateMeRequest, before: User): Partial<Pick<User, (typeof fields)[number]>> {
  if (request.timezone && !isTimezone(request.timezone))
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'timezone', description: 'no such time zone' }] });
  const changed = fields.filter((each) => request[each] !== undefined && request[each] !== before[each]);
  return Object.fromEntries(changed.map((each) => [each, request[each]]));
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
