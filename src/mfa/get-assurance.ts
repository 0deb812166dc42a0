import { caller } from '../rpc/context.ts';
import { levelToMessage, methodsToMessage } from '../session/message.ts';
import type { MfaMethods } from './deps.ts';
import { isUsable } from './factor.ts';
import { usableToMessage } from './message.ts';
import { factorsFor, ownFactors } from './own-factors.ts';

export const getAssurance: MfaMethods['getAssurance'] = (_, context) => {
  const { aal, hasFactor, isOnTrustedDevice } = caller(context);
  return {
    currentAal: levelToMessage(aal),
    nextAal: levelToMessage(hasFactor ? 2 : aal),
    amr: methodsToMessage(ownFactors.of(context).amr),
    trustedDevice: isOnTrustedDevice,
    factors: factorsFor(context).filter(isUsable).map(usableToMessage),
  };
};
