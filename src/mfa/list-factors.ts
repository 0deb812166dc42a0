import { autocommit, caller } from '../rpc/context.ts';
import type { MfaMethods } from './deps.ts';
import { factorsOf } from './factor.ts';
import { factorToMessage } from './message.ts';

/** The caller's factors. Their passkeys are listed by ListPasskeys. */
export const listFactors: MfaMethods['listFactors'] = async (_, context) => {
  const factors = await factorsOf(autocommit(context), caller(context).userId);
  return { factors: factors.filter(({ type }) => type !== 'passkey').map(factorToMessage) };
};
