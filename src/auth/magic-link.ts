import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../errors.ts';
import { readOneTimeValue } from '../one-time/secret.ts';
import { consume } from '../one-time/token.ts';
import { change, clientOf, projectOf } from '../rpc/context.ts';
import { kindOfClient } from '../session/message.ts';
import { emailKey } from '../user/email.ts';
import { changeMetadata, noMetadata } from '../user/metadata.ts';
import { lockUser } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { redeemCode } from './magic-link-code.ts';
import { signInByMail } from './mail-sign-in.ts';
import { signInToMessage } from './open-sign-in.ts';
import { sendLink } from './send-link.ts';
import { signUpByMail } from './sign-up-by-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'requestMagicLink' | 'signInWithMagicLink'>;

export function magicLink(deps: AuthDeps): Methods {
  const { now, wrongCodes, mailSignIns } = deps;
  const open: Methods['signInWithMagicLink'] = async ({ token: raw, code, kind, trustedDeviceToken }, context) => {
    const projectId = projectOf(context);
    const value = code ? await redeemCode(deps, code, ['magic_link'], context) : { raw };
    const at = now();
    const signedIn = await change(context, async (em) => {
      const used = await consume(em, 'magic_link', { projectId, ...value }, at);
      if (!used) throw refused();
      await wrongCodes.clear(em, projectId, used.target);
      const user = await lockUser(em, projectId, used.user_id);
      if (user.emailKey !== used.target) throw refused();
      const proof = { user, kind: kindOfClient(kind), method: code ? 'otp' : 'magiclink', trustedDeviceToken } as const;
      return signInByMail(em, deps, proof, context, at);
    });
    return signInToMessage(deps, signedIn, at);
  };
  return {
    async requestMagicLink({ email, clientNonce, createUser, userMetadata, link: message }, context) {
      const action = 'auth.magic_link.request';
      const link = deps.userMail.links.read(message, projectOf(context));
      const metadata = changeMetadata(noMetadata, { userMetadata });
      const request = { kind: 'magic_link', email, action, clientNonce, link, isFor: () => true } as const;
      if (createUser && link) await signUpByMail(deps, { email, link, metadata, request }, context);
      else await sendLink(deps, request, context);
      return {};
    },

    async signInWithMagicLink(request, context) {
      const { token, code } = request;
      if (!token && !code) throw new Refusal('TOKEN_REQUIRED');
      const named = code ? emailKey(code.email) : readOneTimeValue(projectOf(context), 'magic_link', token)?.userId;
      return mailSignIns.run(clientOf(context), named ?? '', async () => open(request, context));
    },
  };
}

function refused(): Refusal {
  return new Refusal('OTP_EXPIRED', { event: { action: 'auth.login_failed', cause: 'magic_link' } });
}
