import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { factorsOf } from '../mfa/factor.ts';
import { factorToMessage } from '../mfa/message.ts';
import { removeAllFactors } from '../mfa/remove-all-factors.ts';
import { anyCaller, autocommit, change, projectOf, reads } from '../rpc/context.ts';
import { findUser } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { lockWithOperator } from './last-operator.ts';

export const listUserFactors: AdminMethods['listUserFactors'] = async (request, context) => {
  const { id } = await findUser(reads(context), projectOf(context), request.userId);
  return { factors: (await factorsOf(autocommit(context), id)).map(factorToMessage) };
};

export function removeUserFactors({ now, factorMail }: AdminDeps): AdminMethods['removeUserFactors'] {
  return async ({ userId }, context) => {
    const at = now();
    await change(
      context,
      async (em) => {
        const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_REMOVE_SELF' }, at);
        // Attack: an operator with the password or the mailbox of another operator would be that operator.
        if (user.systemRole === 'operator' && anyCaller(context).kind !== 'service')
          throw new Refusal('CALLER_NOT_ALLOWED');
        if (!(await removeAllFactors(em, user))) return;
        await factorMail.allRemoved(em, user, at);
        audit(em, context, { action: 'user.remove_factors', userId: user.id }, at);
      },
      { users: [userId] },
    );
    return {};
  };
}
