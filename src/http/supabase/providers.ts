import { randomBytes } from 'node:crypto';
import { ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { type Answer, type Asked, challengeOf, redirectOf } from './asked.ts';
import { AuthError } from './auth-error.ts';
import { authErrorOf } from './errors.ts';
import { requestedProvider } from './provider-names.ts';
import { formOf, oauthErrors } from './redirect-form.ts';
import { providerTokensJson, tokensJson } from './session-json.ts';

/** GET /authorize: leads the browser to the page of a provider. */
export async function authorize(asked: Asked): Promise<Answer> {
  const start = startOf(asked);
  const binding = start.codeChallenge ? { unbound: true } : { clientNonce: await bindToBrowser(asked, start.provider) };
  const { authorizationUrl } = await asked.auth.startOAuth({ ...start, ...binding });
  return leadTo(asked, authorizationUrl);
}

type FlowCookie = 'flow' | 'posted-flow';

/** Where the browser goes on, for a program that opens the page itself. */
export function leadTo({ query }: Asked, url: string): Answer {
  if (query.get('skip_http_redirect') === 'true') return { body: { url } };
  return { status: 302, headers: { location: url } };
}

const own = new Set(
  'provider redirect_to scopes state skip_http_redirect invite_token code_challenge code_challenge_method'.split(' '),
);
/** Those that the service sets itself. */
const reserved = new Set(
  'client_id client_secret redirect_uri response_type response_mode scope nonce request request_uri registration'.split(
    ' ',
  ),
);
const mostParameters = 20;

/** What the query says of a sign-in. All other parameters are for the provider, except those that the service sets. */
export function startOf(asked: Asked) {
  const { query, issuer } = asked;
  const isForProvider = (name: string) => /^[a-z_]{1,64}$/.test(name) && !own.has(name) && !reserved.has(name);
  const parameters = [...query].filter(([name]) => isForProvider(name)).map(([name, value]) => ({ name, value }));
  return {
    provider: requestedProvider(query.get('provider')),
    callbackUrl: `${issuer}/callback`,
    redirectUrl: redirectOf(asked),
    scopes: (query.get('scopes') ?? '').split(/[ ,]+/).filter((each) => each !== ''),
    parameters: parameters.slice(0, mostParameters),
    ...challengeOf((name) => query.get(name) ?? ''),
  };
}

/**
 * What binds a sign-in without PKCE to this browser: the value of a cookie, which serves all of its sign-ins. Attack: somebody
 * else's response of a provider would sign the browser in as them.
 */
async function bindToBrowser({ auth, cookies }: Asked, provider: string): Promise<string> {
  const { providers } = await auth.getSettings({});
  const isPosted = providers.some(({ name, postsCallback }) => name === provider && postsCallback);
  const cookie: FlowCookie = isPosted ? 'posted-flow' : 'flow';
  const kept = keptIn(cookies, cookie);
  if (kept) return kept;
  const nonce = randomBytes(16).toString('base64url');
  cookies.set(cookie, nonce);
  return nonce;
}

/** Empty for a browser without the cookie. */
function keptIn(cookies: Asked['cookies'], cookie: FlowCookie): string {
  const kept = cookies.get(cookie) ?? '';
  return /^[\w-]{22,64}$/.test(kept) ? kept : '';
}

/** GET /callback: where a provider leads the browser back to. Every outcome leads on to the site. */
export function finish(asked: Asked): Promise<Answer> {
  return arrive(asked, 'flow').catch((thrown) => leadBack(asked, thrown));
}

/** POST /callback: the same for a provider that posts from its own site. A browser then sends the one cookie only. */
export function finishPosted(asked: Asked): Promise<Answer> {
  return arrive(asked, 'posted-flow').catch((thrown) => leadBack(asked, thrown));
}

async function arrive({ auth, query, body, cookies, redirects }: Asked, cookie: FlowCookie): Promise<Answer> {
  const [state, code, iss, error, user] = ['state', 'code', 'iss', 'error', 'user'].map(
    (name) => query.get(name) || body.text(name),
  ) as [string, string, string, string, string];
  if (!state) throw new AuthError(400, 'bad_oauth_callback', 'OAuth state parameter missing');
  const returned = { state, code, iss, error: error.slice(0, 256), user, clientNonce: keptIn(cookies, cookie) };
  const finished = await auth.finishOAuth({ ...returned, signIn: true, returnProviderTokens: true });
  const { tokens, exchangeCode, providerTokens } = finished;
  const place = new URL(redirects.choose(finished.redirectUrl));
  if (exchangeCode) place.searchParams.set('code', exchangeCode);
  else if (tokens) place.hash = formOf({ ...tokensJson(tokens), ...providerTokensJson(providerTokens), sb: '' });
  else describe(place, emailIsUnverified());
  return leadBrowserTo(place);
}

/** The mailbox has to be proved first. A mail was sent. */
export function emailIsUnverified(): AuthError {
  const text = 'Unverified email with the provider. A confirmation email has been sent to it';
  return new AuthError(422, 'provider_email_needs_verification', text);
}

function leadBack({ redirects }: Asked, thrown: unknown): Answer {
  const { redirect_url: wanted } =
    thrown instanceof ConnectError ? (thrown.findDetails(ErrorInfoSchema)[0]?.metadata ?? {}) : {};
  const place = new URL(redirects.choose(wanted));
  describe(place, authErrorOf(thrown, 'finish with a provider'));
  // Without a state that is good, nothing is known of the sign-in.
  return { ...leadBrowserTo(place), status: wanted === undefined ? 303 : 302 };
}

/** Writes an error where clients look for it: in the query and in the fragment. */
function describe(place: URL, { status, code, message }: AuthError): void {
  const error = oauthErrors[status] ?? 'access_denied';
  const about = { error, error_code: code, error_description: message };
  for (const [key, value] of Object.entries(about)) place.searchParams.set(key, value);
  place.hash = formOf({ ...about, sb: '' });
}

function leadBrowserTo(place: URL): Answer {
  return { status: 302, headers: { location: place.href } };
}
