import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AuthService, UpdateMeRequest } from '../../gen/gatehouse/v1/auth_pb.ts';
import { leaveAccounts } from '../account/members.ts';
import { summaryToMessage } from '../account/message.ts';
import { readAccountSummary } from '../account/usage/account-summary.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { voidFor } from '../one-time/token.ts';
import { autocommit, caller, change, reads } from '../rpc/context.ts';
import { revokeSessions } from '../session/revocation.ts';
import { userToMessage } from '../user/message.ts';
import { findUser, lockUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { requestEmailChange } from './email-change.ts';
import { padResponseTime } from './response-padding.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'getMe' | 'updateMe' | 'deleteMe'>;

export function profile(deps: AuthDeps): Methods {
  const { now, usage, hideRegistration } = deps;

  async function update(request: UpdateMeRequest, context: HandlerContext): Promise<User> {
    const { projectId, userId } = caller(context);
    const before = await findUser(reads(context), projectId, userId);
    const news = differences(request, before);
    const { email, currentPassword } = request;
    const changeEmail =
      email === undefined ? undefined : await requestEmailChange(deps, before, { email, currentPassword }, context);
    const at = now();
    if (!changeEmail && Object.keys(news).length === 0) return before;
    return change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      Object.assign(user, news, { updatedAt: at });
      await changeEmail?.(em, user, at);
      if (Object.keys(news).length > 0) audit(em, context, { action: 'auth.profile_update' }, at);
      return user;
    });
  }

  return {
    async getMe(_, context) {
      const { projectId, userId } = caller(context);
      const user = await findUser(reads(context), projectId, userId);
      const summary = await readAccountSummary(autocommit(context), projectId, userId);
      return { user: userToMessage(user, now()), account: summaryToMessage(summary, usage, now()) };
    },

    async updateMe(request, context) {
      const isTelling = hideRegistration && request.email !== undefined;
      const user = await (isTelling ? padResponseTime(() => update(request, context)) : update(request, context));
      return { user: userToMessage(user, now()) };
    },

    async deleteMe(_, context) {
      const { projectId, userId } = caller(context);
      const at = now();
      await change(context, async (em) => {
        const user = await lockUser(em, projectId, userId);
        // They could be the last. Whoever takes the role from them is another.
        if (user.systemRole === 'operator') throw new Refusal('CANNOT_DEMOTE_SELF');
        await leaveAccounts(em, userId, at);
        user.delete(at);
        await revokeSessions(em, { userId }, 'deleted', at);
        await voidFor(em, userId, at);
        audit(em, context, { action: 'user.delete' }, at);
      });
      return {};
    },
  };
}

const fields = ['name', 'phone', 'jobTitle', 'timezone', 'locale'] as const;

/** The fields that were sent and say something new. */
function differences(request: UpdateMeRequest, before: User): Partial<Pick<User, (typeof fields)[number]>> {
  if (request.timezone && !isTimezone(request.timezone))
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'timezone', description: 'no such time zone' }] });
  const sent = fields.filter((each) => request[each] !== undefined && request[each] !== before[each]);
  return Object.fromEntries(sent.map((each) => [each, request[each]]));
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
