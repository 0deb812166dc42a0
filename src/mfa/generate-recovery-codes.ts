import { audit } from '../audit/event.ts';
import { insert } from '../database/insert.ts';
import { Refusal } from '../errors.ts';
import { caller, change } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { deleteFactors, Factor, factorsOf } from './factor.ts';
import { factorToMessage } from './message.ts';
import { newRecoveryCodes, storeRecoveryCodes } from './recovery-code.ts';

export function generateRecoveryCodes({ now, factorMail }: MfaDeps): MfaMethods['generateRecoveryCodes'] {
  return async ({ replacesFactorId }, context) => {
    const { projectId, userId } = caller(context);
    const at = now();
    const codes = newRecoveryCodes();
    const factor = await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      if (user.factorCount === 0) throw new Refusal('NO_FACTOR_ENROLLED');
      const earlier = (await factorsOf(em, userId)).filter(({ type }) => type === 'recovery_code').map(({ id }) => id);
      // Race: of two calls for one form both would show codes, and the user may keep those that the other call has replaced.
      if (replacesFactorId !== undefined && replacesFactorId.toLowerCase() !== (earlier[0] ?? ''))
        throw new Refusal('RECOVERY_CODES_CHANGED');
      await deleteFactors(em, userId, earlier);
      const draft = {
        id: Factor.newId(at),
        projectId,
        userId,
        type: 'recovery_code',
        friendlyName: '',
        verifiedAt: at,
      } as const;
      const created = Factor.enroll(draft, at);
      await insert(em, created);
      await storeRecoveryCodes(em, created, codes, at);
      await factorMail.codesCreated(em, user, at);
      audit(em, context, { action: 'factor.generate_recovery_codes', entityId: created.id }, at);
      return created;
    });
    return { codes, factor: factorToMessage({ ...factor, remainingCodes: codes.length }) };
  };
}
