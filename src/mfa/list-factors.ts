import type { MfaMethods } from './deps.ts';
import { factorToMessage } from './message.ts';
import { factorsFor } from './own-factors.ts';

/** The caller's factors. Their passkeys are listed by ListPasskeys. */
export const listFactors: MfaMethods['listFactors'] = (_, context) => {
  const factors = factorsFor(context).filter(({ type }) => type !== 'passkey');
  return { factors: factors.map(factorToMessage) };
};
