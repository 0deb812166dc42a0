import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../../errors.ts';
import { requireOwnSignIn } from '../../rpc/assurance.ts';
import { caller, change, clientOf, projectOf } from '../../rpc/context.ts';
import { kindOfClient } from '../../session/message.ts';
import type { ProvedIdentity } from '../../user/identity.ts';
import type { AuthDeps } from '../deps.ts';
import { linkAndSignIn, linkToMessage, signInByIdentity, subjectOf } from './identity-sign-in.ts';
import { requireLinking } from './link.ts';
import type { BroughtIdToken } from './provider.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'signInWithIdToken' | 'linkIdentity'>;

interface Brought extends BroughtIdToken {
  readonly provider: string;
}

export function idTokenSignIn(deps: AuthDeps): Methods {
  const { oauth } = deps;
  const read = ({ provider, ...brought }: Brought, context: HandlerContext): Promise<ProvedIdentity> => {
    const found = oauth.providers.get(provider, projectOf(context));
    if (!found.readIdToken) throw new Refusal('OAUTH_PROVIDER_NOT_FOUND');
    return found.readIdToken(brought, context.signal);
  };
  return {
    async signInWithIdToken(request, context) {
      const proved = await read(request, context);
      const { accountInviteCode, inviteCode, trustedDeviceToken } = request;
      const purpose = { kind: kindOfClient(request.kind), trustedDeviceToken };
      return oauth.idTokenSignIns.run(clientOf(context), subjectOf(context, proved), () =>
        signInByIdentity(deps, { proved, accountInviteCode, inviteCode }, purpose, context),
      );
    },

    async linkIdentity(request, context) {
      requireLinking(deps);
      const by = caller(context);
      requireOwnSignIn(by);
      const proved = await read(request, context);
      const { userId, sessionId, tokenEpoch } = by;
      const session = { userId, sessionId, tokenEpoch };
      const kind = request.signIn ? ('web' as const) : undefined;
      const linking = { proved, session, kind, trustedDeviceToken: request.trustedDeviceToken };
      const at = deps.now();
      return linkToMessage(deps, await change(context, (em) => linkAndSignIn(em, deps, linking, context, at)), at);
    },
  };
}
