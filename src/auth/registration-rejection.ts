import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { leaveAccounts } from '../account/members.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { removeAllFactors } from '../mfa/remove-all-factors.ts';
import { consume, look, voidFor } from '../one-time/token.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { revokeCredentials } from '../session/revocation.ts';
import { removeIdentities } from '../user/identity.ts';
import { lockUser } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'rejectRegistration'>;

const kind = 'registration_rejection';

export function registrationRejection({ now }: AuthDeps): Methods {
  return {
    async rejectRegistration({ token: raw }, context) {
      if (!raw) throw new Refusal('TOKEN_REQUIRED');
      const at = now();
      const value = { projectId: projectOf(context), raw };
      const seen = await look(autocommit(context), kind, value, at);
      if (!seen) throw new Refusal('VERIFICATION_TOKEN_INVALID');
      if (seen.is_established) throw new Refusal('EMAIL_ALREADY_VERIFIED');
      if (!seen.is_good) throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED', { metadata: { state: seen.state } });
      await change(context, async (em) => {
        // Race: VerifyEmail and the first proof write this row too, so the state that is read here holds.
        const user = await lockUser(em, value.projectId, seen.user_id).catch(explainMissing);
        if (user.emailVerifiedAt || user.establishedAt) throw new Refusal('EMAIL_ALREADY_VERIFIED');
        const used = await consume(em, kind, { ...value, userId: user.id }, at);
        if (!used) throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED');
        // They could be the last operator, as in DeleteMe.
        if (user.systemRole === 'operator') throw new Refusal('CANNOT_DEMOTE_SELF');
        await leaveAccounts(em, user.id, at);
        user.delete(at);
        await revokeCredentials(em, user.id, 'deleted', at);
        await removeAllFactors(em, user);
        await removeIdentities(em, user.id);
        await voidFor(em, user.id, at);
        audit(em, context, { action: 'auth.registration_reject', userId: user.id }, at);
      });
      return {};
    },
  };
}

/** Of parallel rejections the first one deletes the user. */
function explainMissing(error: unknown): never {
  const isMissing = error instanceof Refusal && error.reason === 'USER_NOT_FOUND';
  throw isMissing ? new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED') : error;
}
