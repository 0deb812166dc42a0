import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { audit } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { caller, change, origin } from '../rpc/context.ts';
import { sessionToMessage } from '../session/message.ts';
import { requireLive } from '../session/revocation.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import { userToMessage } from '../user/message.ts';
import { lockWithOperator } from './operator-lock.ts';

export interface ImpersonationDeps {
  readonly now: Clock;
  readonly opener: SessionOpener;
}

export function impersonationMethods({ now, opener }: ImpersonationDeps) {
  return {
    async impersonateUser({ userId }, context) {
      // A key is nobody who could answer for it.
      const operator = caller(context);
      const at = now();
      const { user, opened } = await change(context, async (em) => {
        const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_IMPERSONATE_OPERATOR' }, at);
        // Or a call under way would leave a session behind of an operator whose sessions were all ended meanwhile.
        await requireLive(em, operator, at);
        if (user.systemRole === 'operator') throw new Refusal('CANNOT_IMPERSONATE_OPERATOR');
        if (user.isBanned(at)) throw new Refusal('USER_BANNED');
        const opening = {
          user,
          kind: 'web',
          method: 'impersonation',
          origin: origin(context),
          impersonatorId: operator.userId,
        } as const;
        const opened = await opener.open(em, opening, at);
        audit(em, context, { action: 'user.impersonate', userId: user.id, sessionId: opened.session.id }, at);
        return { user, opened };
      });
      return {
        user: userToMessage(user, at),
        tokens: opener.tokensOf(opened, user, at),
        session: sessionToMessage(opened.session),
      };
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}
