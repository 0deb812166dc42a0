import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { insert } from '../database/insert.ts';
import { Refusal } from '../errors.ts';
import { change, origin, projectOf } from '../rpc/context.ts';
import { kindOfClient } from '../session/message.ts';
import { changeMetadata, noMetadata } from '../user/metadata.ts';
import { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { signedInToMessage } from './message.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'signUpAnonymous'>;

export function guest({ now, opener, projects }: AuthDeps): Methods {
  return {
    async signUpAnonymous({ kind, userMetadata }, context) {
      const { anonymousSignIn } = projects.of(projectOf(context)).settings;
      if (!anonymousSignIn) throw new Refusal('ANONYMOUS_SIGN_IN_DISABLED');
      const at = now();
      const user = User.guest(projectOf(context), at);
      Object.assign(user, changeMetadata(noMetadata, { userMetadata }));
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
