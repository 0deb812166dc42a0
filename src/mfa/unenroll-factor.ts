import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { caller, change } from '../rpc/context.ts';
import { lowerSessions } from '../session/elevation.ts';
import { forgetDevices } from '../session/trusted-device.ts';
import { lockUser } from '../user/user.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { counts, deleteFactors, factorsOf } from './factor.ts';

export function unenrollFactor({ now, factorMail }: MfaDeps): MfaMethods['unenrollFactor'] {
  return async ({ factorId }, context) => {
    const { projectId, userId } = caller(context);
    const at = now();
    await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      const factors = await factorsOf(em, userId);
      const factor = factors.find(({ id, type }) => id === factorId.toLowerCase() && type !== 'passkey');
      if (!factor) throw new Refusal('FACTOR_NOT_FOUND');
      await lowerSessions(em, userId, factor.id);
      await forgetDevices(em, { userId });
      if (factor.verifiedAt && counts(factor.type)) user.factorCount -= 1;
      // Without a factor there is nothing that recovery codes could stand in for.
      const codes = factors.filter(({ type }) => user.factorCount === 0 && type === 'recovery_code');
      await deleteFactors(em, userId, [factor.id, ...codes.map(({ id }) => id)]);
      if (factor.verifiedAt) await factorMail.removed(em, user, factor, at);
      audit(em, context, { action: 'factor.unenroll', entityId: factor.id }, at);
    });
    return {};
  };
}
