import { leaveAccounts } from '../account/members.ts';
import { audit } from '../audit/event.ts';
import { removeAllFactors } from '../mfa/remove-all-factors.ts';
import { voidFor } from '../one-time/token.ts';
import { change } from '../rpc/context.ts';
import { revokeCredentials } from '../session/revocation.ts';
import { removeIdentities } from '../user/identity.ts';
import { recordOperator } from '../user/operator.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { lockWithOperator } from './last-operator.ts';

export function deleteUser({ now }: AdminDeps): AdminMethods['deleteUser'] {
  return async ({ userId }, context) => {
    const at = now();
    await change(
      context,
      async (em) => {
        const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_REMOVE_SELF' }, at);
        await leaveAccounts(em, userId, at);
        user.delete(at);
        await recordOperator(em, user);
        await revokeCredentials(em, userId, 'deleted', at);
        await removeAllFactors(em, user);
        await removeIdentities(em, userId);
        await voidFor(em, userId, at);
        audit(em, context, { action: 'user.delete', userId }, at);
      },
      { users: [userId] },
    );
    return {};
  };
}
