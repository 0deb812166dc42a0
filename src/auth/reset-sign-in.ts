import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../errors.ts';
import { consume, look } from '../one-time/token.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { kindOfClient } from '../session/message.ts';
import { lockUser } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { signInByMail } from './mail-sign-in.ts';
import { signInToMessage } from './open-sign-in.ts';
import { refusedToken } from './password-reset.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'signInWithResetToken'>;

export function resetSignIn(deps: AuthDeps): Methods {
  const { now } = deps;
  return {
    async signInWithResetToken({ token: raw, kind }, context) {
      if (!raw) throw new Refusal('TOKEN_REQUIRED');
      const projectId = projectOf(context);
      const value = { projectId, raw };
      const seen = await look(autocommit(context), 'password_reset', value, now());
      if (!seen?.is_good) throw refusedToken(seen?.user_id, seen?.state);
      const at = now();
      const signedIn = await change(context, async (em) => {
        const used = await consume(em, 'password_reset', value, at);
        if (!used) throw refusedToken(seen.user_id);
        const user = await lockUser(em, projectId, used.user_id);
        if (user.emailKey !== used.target) throw refusedToken(user.id);
        return signInByMail(em, deps, { user, kind: kindOfClient(kind), method: 'recovery' }, context, at);
      });
      return signInToMessage(deps, signedIn, at);
    },
  };
}
