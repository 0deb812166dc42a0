import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { calculatePKCECodeChallenge, generateRandomCodeVerifier, generateRandomNonce } from 'oauth4webapi';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import type { StartIdentityLinkRequest, StartOAuthRequest } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import { Refusal } from '../../errors.ts';
import type { KnownProject } from '../../project/projects.ts';
import { requireOwnSignIn } from '../../rpc/assurance.ts';
import { autocommit, caller, projectOf, type SessionOfCaller } from '../../rpc/context.ts';
import { readCallingUser } from '../../session/caller-lock.ts';
import type { AuthDeps } from '../deps.ts';
import { challengeOf } from '../site-link.ts';
import type { OAuthDeps } from './deps.ts';
import { requireLinking, requireVerifiedUser } from './link.ts';
import type { Kept } from './oauth-state.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'startOAuth' | 'startIdentityLink'>;

export function startOAuth(deps: AuthDeps): Methods {
  const start = (
    request: StartOAuthRequest | StartIdentityLinkRequest,
    codes: Pick<Kept, 'accountInviteCode' | 'inviteCode'>,
    linking: SessionOfCaller | undefined,
    context: HandlerContext,
  ) => begin(deps, request, codes, linking, context);
  return {
    startOAuth(request, context) {
      const { accountInviteCode, inviteCode } = request;
      return start(request, { accountInviteCode, inviteCode }, undefined, context);
    },

    async startIdentityLink(request, context) {
      requireLinking(deps);
      const by = caller(context);
      requireOwnSignIn(by);
      const user = await readCallingUser(context, deps.now());
      if (!user.isAnonymous) await requireVerifiedUser(deps, autocommit(context), user);
      const { userId, sessionId, tokenEpoch } = by;
      const codes = { accountInviteCode: '', inviteCode: '' };
      return start(request, codes, { userId, sessionId, tokenEpoch }, context);
    },
  };
}

/** Draws what binds the response of the provider to this sign-in, keeps it, and asks for the provider's page. */
async function begin(
  { now, oauth }: AuthDeps,
  request: StartOAuthRequest | StartIdentityLinkRequest,
  codes: Pick<Kept, 'accountInviteCode' | 'inviteCode'>,
  linking: SessionOfCaller | undefined,
  context: HandlerContext,
) {
  const { clientNonce, clientState, scopes, parameters } = request;
  const project = oauth.projects.of(projectOf(context));
  const provider = oauth.providers.get(request.provider, project.id);
  const redirectUrl = request.redirectUrl === '' ? '' : requireAllowed(project, 'redirect_url', request.redirectUrl);
  const callbackUrl = callbackUrlOf(oauth, project, request.callbackUrl);
  const verifier = generateRandomCodeVerifier();
  const nonce = generateRandomNonce();
  const codeChallenge = await calculatePKCECodeChallenge(verifier);
  // Before anything is stored: the provider may not respond. The state is not known yet, and takes the place of this one.
  const asking = { state: '', nonce, codeChallenge, callbackUrl, scopes, parameters };
  const url = await provider.authorizationUrl(asking, context.signal);
  const kept = { verifier, nonce, callbackUrl, redirectUrl, clientState, ...codes, challenge: challengeOf(request) };
  const draft = { projectId: project.id, provider: provider.name, clientNonce, kept, linking };
  const { state, expiresAt } = await oauth.states.open(autocommit(context), draft, now());
  url.searchParams.set('state', state);
  return { authorizationUrl: url.href, expireTime: timestampFromDate(expiresAt) };
}

function callbackUrlOf({ callbackUrls: [, ...others] }: OAuthDeps, project: KnownProject, wanted: string): string {
  const ofPages = `${project.settings.frontendUrl}/oauth/callback`;
  if (wanted === '') return ofPages;
  return [ofPages, ...others].includes(wanted) ? wanted : requireAllowed(project, 'callback_url', wanted);
}

/** Attack: a place that somebody else chooses would receive the code of the provider, or the tokens. */
function requireAllowed({ redirects }: KnownProject, field: string, url: string): string {
  const allowed = redirects.allow(url);
  if (allowed === undefined) throw new Refusal('REDIRECT_NOT_ALLOWED', { metadata: { field } });
  return allowed;
}
