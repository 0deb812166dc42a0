import { summaryToMessage } from '../account/message.ts';
import { readAccountSummary } from '../account/usage/account-summary.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { caller, change, origin } from '../rpc/context.ts';
import { sessionToMessage } from '../session/message.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { lockWithOperator } from './last-operator.ts';
import { managedUserToMessage } from './message.ts';

/** A session of an impersonation expires after this many seconds, even if it is in use. */
const hour = 3600;

export function impersonateUser({ now, opener, usage }: AdminDeps): AdminMethods['impersonateUser'] {
  return async ({ userId }, context) => {
    // Refuses service keys: the audit trail has to name a person.
    const operator = caller(context);
    const at = now();
    const { user, opened, summary } = await change(
      context,
      async (em) => {
        const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_IMPERSONATE_OPERATOR' }, at);
        if (user.systemRole === 'operator') throw new Refusal('CANNOT_IMPERSONATE_OPERATOR');
        if (user.isBanned(at)) throw new Refusal('USER_BANNED');
        const opening = {
          user,
          kind: 'web',
          method: 'impersonation',
          origin: origin(context),
          impersonatorId: operator.userId,
          lifetime: { idle: hour, absolute: hour },
        } as const;
        const opened = await opener.open(em, context, opening, at);
        audit(em, context, { action: 'user.impersonate', userId: user.id, sessionId: opened.session.id }, at);
        return { user, opened, summary: await readAccountSummary(em, user.projectId, user.id) };
      },
      { users: [userId] },
    );
    return {
      user: managedUserToMessage(user, at),
      tokens: opener.tokensOf({ ...opened, account: summary.account }, user, at),
      session: sessionToMessage(opened.session),
      account: summaryToMessage(summary, usage, at),
    };
  };
}
