import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import type { FinishOAuthRequest } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import { Refusal } from '../../errors.ts';
import { autocommit, clientOf, projectOf } from '../../rpc/context.ts';
import { kindOfClient } from '../../session/message.ts';
import type { AuthDeps } from '../deps.ts';
import { linkByIdentity, signInByIdentity, subjectOf } from './identity-sign-in.ts';
import type { Kept, UsedState } from './oauth-state.ts';
import { nameOfAppleUser } from './profile.ts';
import type { Provider, Redeemed } from './provider.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'finishOAuth'>;

export function finishOAuth(deps: AuthDeps): Methods {
  const { now, oauth } = deps;
  return {
    async finishOAuth(request, context) {
      const { state, clientNonce } = request;
      // Committed before the provider is asked: of parallel calls one goes on, and no transaction waits for the provider.
      const used = await oauth.states.use(autocommit(context), projectOf(context), state, clientNonce, now());
      if (!used) {
        const event = { action: 'auth.login_failed', cause: 'oauth_state' } as const;
        throw new Refusal('OAUTH_STATE_INVALID', { event });
      }
      const { redirectUrl, clientState } = used.kept;
      const finished = await finish(deps, request, used, context).catch((thrown) => {
        throw leadingBack(thrown, used.kept);
      });
      return { ...finished, redirectUrl, clientState };
    },
  };
}

async function finish(deps: AuthDeps, request: FinishOAuthRequest, used: UsedState, context: HandlerContext) {
  const { oauth } = deps;
  const provider = oauth.providers.get(used.provider, projectOf(context));
  const redeemed = await redeem(provider, request, used, context.signal);
  const { accessToken, refreshToken } = redeemed;
  const signedIn = await oauth.finishes.run(clientOf(context), subjectOf(context, redeemed.identity), () =>
    apply(deps, request, { used, redeemed }, context),
  );
  return request.returnProviderTokens ? { ...signedIn, providerTokens: { accessToken, refreshToken } } : signedIn;
}

function apply(
  deps: AuthDeps,
  request: FinishOAuthRequest,
  { used, redeemed }: { used: UsedState; redeemed: Redeemed },
  context: HandlerContext,
) {
  const kind = kindOfClient(request.kind);
  const { linking, kept } = used;
  const { accountInviteCode, inviteCode } = kept;
  const proved = { ...redeemed.identity, name: redeemed.identity.name || nameOfAppleUser(request.user) };
  if (!linking) return signInByIdentity(deps, { proved, accountInviteCode, inviteCode }, kind, context);
  const { userId } = linking;
  const opening = request.signIn ? kind : undefined;
  return linkByIdentity(deps, { proved, onBehalfOf: linking, userId, kind: opening }, context);
}

const denials = new Set(['access_denied', 'user_cancelled_authorize', 'user_cancelled_login', 'consent_required']);

function redeem(
  provider: Provider,
  { state, code, iss, error }: FinishOAuthRequest,
  { kept }: UsedState,
  signal: AbortSignal,
): Promise<Redeemed> {
  if (denials.has(error))
    throw new Refusal('ACCESS_DENIED', { event: { action: 'auth.login_failed', cause: 'provider_access_denied' } });
  if (error !== '' || code === '') throw provider.refusal(error);
  const { callbackUrl, verifier, nonce } = kept;
  return provider.redeem({ state, code, iss, callbackUrl, verifier, nonce }, signal);
}

/** The client goes back there with the error too. */
function leadingBack(thrown: unknown, { redirectUrl, clientState }: Kept): unknown {
  if (!(thrown instanceof Refusal)) return thrown;
  const { reason, options } = thrown;
  return new Refusal(reason, {
    ...options,
    metadata: { ...options.metadata, redirect_url: redirectUrl, client_state: clientState },
  });
}
