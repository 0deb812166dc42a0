import type { Interceptor } from '@connectrpc/connect';
import { Refusal, type UsableFactor } from '../errors.ts';
import { kCaller, type UserCaller } from './context.ts';

/** Reads the factors that a caller can verify. */
export type ReadFactors = (caller: UserCaller) => Promise<readonly UsableFactor[]>;

/** Adds the factors of the caller to a refusal that asks for one. Only a refused call pays for reading them. */
export function stepUpFactors(read: ReadFactors): Interceptor {
  return (next) => async (req) => {
    try {
      return await next(req);
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || !thrown.options.stepUp) throw thrown;
      const caller = req.contextValues.get(kCaller);
      const isUser = caller !== undefined && !(caller instanceof Refusal) && caller.kind === 'user';
      if (!isUser || caller.apiKey) throw thrown;
      throw new Refusal(thrown.reason, {
        ...thrown.options,
        stepUp: { ...thrown.options.stepUp, factors: await read(caller) },
      });
    }
  };
}
