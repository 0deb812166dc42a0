import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { caller, change } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { factorsOf } from './factor.ts';
import { removeFactor } from './remove-factor.ts';

export function unenrollFactor({ now, factorMail }: MfaDeps): MfaMethods['unenrollFactor'] {
  return async ({ factorId }, context) => {
    const { projectId, userId } = caller(context);
    const at = now();
    await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      const factors = await factorsOf(em, userId);
      const factor = factors.find(({ id, type }) => id === factorId.toLowerCase() && type !== 'passkey');
      if (!factor) throw new Refusal('FACTOR_NOT_FOUND');
      await removeFactor(em, user, { factor, factors });
      if (factor.verifiedAt) await factorMail.removed(em, user, factor, at);
      audit(em, context, { action: 'factor.unenroll', entityId: factor.id }, at);
    });
    return {};
  };
}
