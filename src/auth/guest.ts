import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { insert } from '../database/insert.ts';
import { change, origin, projectOf } from '../rpc/context.ts';
import { kindOfClient } from '../session/message.ts';
import { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { signedInToMessage } from './message.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'signUpAnonymous'>;

export function guest({ now, opener }: AuthDeps): Methods {
  return {
    async signUpAnonymous({ kind }, context) {
      const at = now();
      const user = User.guest(projectOf(context), at);
      const opened = await change(context, async (em) => {
        await insert(em, user);
        const opening = { user, kind: kindOfClient(kind), method: 'anonymous', origin: origin(context) };
        const opened = await opener.open(em, context, opening, at);
        audit(em, context, { action: 'auth.sign_up_anonymous', userId: user.id, sessionId: opened.session.id }, at);
        return opened;
      });
      return signedInToMessage(opener, user, opened, at);
    },
  };
}
