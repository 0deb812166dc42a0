import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import type { FinishOAuthRequest } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import { Refusal } from '../../errors.ts';
import { autocommit, change, clientOf, projectOf, type SessionOfCaller } from '../../rpc/context.ts';
import { kindOfClient } from '../../session/message.ts';
import type { ProvedIdentity } from '../../user/identity.ts';
import { userToMessage } from '../../user/message.ts';
import { lockUser } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { handOutCode } from '../hand-out-code.ts';
import { linkAndSignIn, linkToMessage, signInByIdentity, subjectOf } from './identity-sign-in.ts';
import { requireLinkable } from './link.ts';
import type { Kept, UsedState } from './oauth-state.ts';
import { nameOfAppleUser } from './profile.ts';
import type { Provider, Redeemed } from './provider.ts';
import type { KeptForExchange } from './sealed-exchange.ts';

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
  const providerTokens = request.returnProviderTokens ? { accessToken, refreshToken } : undefined;
  const proved = { ...redeemed.identity, name: redeemed.identity.name || nameOfAppleUser(request.user) };
  const about = { request, used, proved, providerTokens };
  return oauth.finishes.run(clientOf(context), subjectOf(context, proved), async () => {
    const finished = await (used.linking ? link(deps, about, used.linking, context) : signIn(deps, about, context));
    return used.kept.challenge ? finished : { ...finished, providerTokens };
  });
}

interface Arrived {
  readonly request: FinishOAuthRequest;
  readonly used: UsedState;
  readonly proved: ProvedIdentity;
  readonly providerTokens: KeptForExchange['providerTokens'];
}

function signIn(deps: AuthDeps, { request, used, proved, providerTokens }: Arrived, context: HandlerContext) {
  const { accountInviteCode, inviteCode, challenge } = used.kept;
  const { trustedDeviceToken } = request;
  const exchange = challenge && { challenge, kept: { providerTokens } };
  const purpose = { kind: kindOfClient(request.kind), exchange, trustedDeviceToken };
  return signInByIdentity(deps, { proved, accountInviteCode, inviteCode }, purpose, context);
}

/**
 * Links the identity or, for a client that brings a challenge, checks that it could be linked: the exchange links it. Attack:
 * somebody sends the start of their link to another person. The browser of that person has no verifier.
 */
async function link(
  deps: AuthDeps,
  { request, used, proved, providerTokens }: Arrived,
  session: SessionOfCaller,
  context: HandlerContext,
) {
  const at = deps.now();
  const { challenge } = used.kept;
  const locks = { onBehalfOf: session };
  if (!challenge) {
    const kind = request.signIn ? kindOfClient(request.kind) : undefined;
    const linking = { proved, session, kind, trustedDeviceToken: request.trustedDeviceToken };
    const linked = await change(context, (em) => linkAndSignIn(em, deps, linking, context, at), locks);
    return linkToMessage(deps, linked, at);
  }
  const sealed = deps.oauth.exchanges.seal(session.userId, { providerTokens, link: { session, proved } });
  const handOut = async (em: EntityManager) => {
    const user = await lockUser(em, projectOf(context), session.userId);
    await requireLinkable(em, deps, { user, proved });
    const exchangeCode = await handOutCode(em, user, { challenge, method: 'oauth', sealed }, at);
    return { user: userToMessage(user, at), exchangeCode };
  };
  return change(context, handOut, locks);
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
