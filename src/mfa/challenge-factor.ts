import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { caller, change } from '../rpc/context.ts';
import { openChallenge } from './challenge.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { typeToMessage } from './message.ts';
import { requireOwnFactor } from './own-factor.ts';

export function challengeFactor({ now, challengeBudget }: MfaDeps): MfaMethods['challengeFactor'] {
  return async ({ factorId }, context) => {
    const { projectId, userId, sessionId } = caller(context);
    const factor = await requireOwnFactor(context, factorId);
    await challengeBudget.count(userId);
    const asked = { projectId, userId, sessionId, factorId: factor.id, purpose: 'verify' } as const;
    const challenge = await change(context, (em) => openChallenge(em, asked, now()));
    return {
      challengeId: challenge.id,
      type: typeToMessage(factor.type),
      expireTime: timestampFromDate(challenge.expiresAt),
    };
  };
}
