import { statement } from '../database/statement.ts';
import { autocommit, caller } from '../rpc/context.ts';
import { levelToMessage, methodsToMessage } from '../session/message.ts';
import type { AuthenticationMethod } from '../session/session.ts';
import type { MfaMethods } from './deps.ts';
import { readUsableFactors } from './usable-factors.ts';

const readMethods = statement<{ amr: AuthenticationMethod[] }, { userId: string; sessionId: string }>(
  'session_methods',
  'select s.amr from sessions s where s.user_id = :userId and s.id = :sessionId',
);

export const getAssurance: MfaMethods['getAssurance'] = async (_, context) => {
  const { userId, sessionId, aal, hasFactor, isOnTrustedDevice } = caller(context);
  const [session] = await readMethods(autocommit(context), { userId, sessionId });
  return {
    currentAal: levelToMessage(aal),
    nextAal: levelToMessage(hasFactor ? 2 : aal),
    amr: methodsToMessage(session?.amr ?? []),
    trustedDevice: isOnTrustedDevice,
    factors: await readUsableFactors(autocommit(context), userId),
  };
};
