import { GuestDisposition } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { Refusal } from '../errors.ts';
import { caller, change, origin } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import { requireApprover } from './approval.ts';
import { advance, approvalOf } from './attempt.ts';
import { guestOf, unclaimedGuestOf } from './cli-guest.ts';
import { findOpenCliLogin } from './cli-login.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { mergeGuest } from './guest-merge.ts';
import { signedInToMessage } from './message.ts';
import { isEndOfSession } from './redemption.ts';

type Methods = Pick<DeviceMethods, 'claimCliGuest' | 'completeCliLogin' | 'denyCliLogin'>;

/** The side of the browser: it takes over the guest of the program, and approves or denies the login. */
export function cliDecision(deps: DeviceDeps): Methods {
  const { now, opener, guestDisposition: usual } = deps;
  return {
    async claimCliGuest({ loginCode }, context) {
      const at = now();
      const attempt = await findOpenCliLogin(deps, context, loginCode, at);
      const guest = unclaimedGuestOf(attempt);
      if (!guest) throw new Refusal('NO_ANONYMOUS_SESSION');
      const claim = change(
        context,
        async (em) => {
          const user = await lockUser(em, attempt.projectId, guest.userId);
          if (!user.isAnonymous) throw new Refusal('NO_ANONYMOUS_SESSION');
          const opening = { user, kind: 'web', method: 'anonymous', origin: origin(context) } as const;
          const opened = await opener.open(em, context, opening, at);
          const step = { event: 'claim', by: user.id, sessionId: opened.session.id } as const;
          if (!(await advance(em, context, attempt, step, at))) throw new Refusal('NO_ANONYMOUS_SESSION');
          return signedInToMessage(opener, user, opened, at);
        },
        { onBehalfOf: guest },
      );
      return claim.catch(explainEndOfGuest);
    },

    async completeCliLogin({ loginCode, guestDisposition }, context) {
      const at = now();
      const approver = caller(context);
      const attempt = await findOpenCliLogin(deps, context, loginCode, at);
      const own = guestOf(attempt)?.userId === approver.userId;
      if (approver.isGuest && !own) throw new Refusal('GUEST_NOT_ALLOWED');
      const disposition = guestDisposition || usual;
      const guest = own || disposition === GuestDisposition.KEEP ? undefined : unclaimedGuestOf(attempt);
      const guestMerged = await change(
        context,
        async (em) => {
          await requireApprover(em, deps, approver, own);
          const step = { event: 'approve', by: approver.userId, changes: approvalOf(approver) } as const;
          // Race: a browser may claim the guest since the attempt was read. A claimed guest is not merged.
          const isUnclaimed = guest && (await advance(em, context, attempt, { ...step, from: ['pending'] }, at));
          if (isUnclaimed) return mergeGuest(em, context, { guest, userId: approver.userId }, at);
          if (!(await advance(em, context, attempt, step, at))) throw new Refusal('INVALID_LOGIN_CODE');
          return false;
        },
        guest && { users: [guest.userId] },
      );
      return { guestMerged };
    },

    async denyCliLogin({ loginCode }, context) {
      const at = now();
      const attempt = await findOpenCliLogin(deps, context, loginCode, at);
      const step = { event: 'deny', by: caller(context).userId } as const;
      const isDenied = await change(context, (em) => advance(em, context, attempt, step, at));
      if (!isDenied) throw new Refusal('INVALID_LOGIN_CODE');
      return {};
    },
  };
}

/** The guest has registered, was deleted or has signed out since. */
function explainEndOfGuest(thrown: unknown): never {
  throw isEndOfSession(thrown) ? new Refusal('NO_ANONYMOUS_SESSION', { cause: thrown }) : thrown;
}
