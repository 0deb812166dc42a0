import type { FinishOAuthResponse, SignInProvider } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import { SessionKind } from '../../../gen/gatehouse/v1/session_pb.ts';
import { alertBox, type Html, html, joined } from './html.ts';
import { describeForm, link, nextOf, onTheWay, ownForm, redirect, requireOwnForm, wayTo } from './own-form.ts';
import { type Failure, readFailure } from './trouble.ts';
import { noticeView, type Page, type View, type Visit } from './visit.ts';

/** The browsers inside of other programs, in which Google and others refuse to work. */
const embedded = /\b(FBAN|FBAV|Instagram|Line\/|MicroMessenger|Snapchat|TikTok|musical_ly)|; wv\)/;

/** The part of the sign-in page with a button for each provider, and the password above it. */
export async function providerButtons(visit: Visit, next: string): Promise<Html> {
  const { words, publicUrl, userAgent } = visit;
  const providers = await providersOf(visit);
  if (providers.length === 0) return html``;
  if (embedded.test(userAgent)) {
    const { text, label } = words.provider.embedded;
    const address = publicUrl + onTheWay('/sign-in', next);
    return html`<p class="hint">${text}</p>
<label for="address">${label}</label>
<input id="address" name="address" value="${address}" readonly>
`;
  }
  const buttons: Html[] = [];
  for (const { name, label } of providers) {
    const button = html`<button class="quiet provider">${words.provider.button(label)}</button>`;
    buttons.push(html`${await ownForm(visit, '/oauth/start', { provider: name, next }, button)}\n`);
  }
  return html`<div class="providers">
${joined(buttons)}</div>
`;
}

/** Without an answer the password still works. */
async function providersOf({ auth }: Visit): Promise<readonly SignInProvider[]> {
  const { providers } = await auth.getSettings({}).catch(() => ({ providers: [] }));
  return providers;
}

/**
 * Takes the browser to the page of a provider. The policy of our pages lets no form lead to another site, not even by a
 * redirect, so this page is shown in between.
 */
export const providerStart: Page = {
  async show(visit) {
    return redirect(onTheWay('/sign-in', nextOf(visit)));
  },

  async act(visit) {
    const { auth, browser, words, values } = visit;
    try {
      await requireOwnForm(visit);
      const provider = values.get('provider') ?? '';
      const known = (await providersOf(visit)).find(({ name }) => name === provider);
      const clientNonce = browser.startWithProvider(known?.postsCallback ?? false);
      const clientState = nextOf(visit);
      const { authorizationUrl } = await auth.startOAuth({ provider, clientNonce, clientState });
      const { title, text, link: open } = words.provider.going;
      const label = known?.label ?? provider;
      const body = html`<p>${text(label)}</p>
${link(authorizationUrl, open(label))}`;
      return { status: 200, title: title(label), body, goTo: authorizationUrl };
    } catch (thrown) {
      return failedView(visit, readFailure(thrown), nextOf(visit));
    }
  },
};

/**
 * Where a provider leads back to. There is no form token: the state is used once, and only by the browser that has the cookie
 * from which its nonce is derived.
 */
export const providerReturn: Page = {
  async show(visit) {
    return redirect(onTheWay('/sign-in', nextOf(visit)));
  },

  // With a POST from another site a browser sends no cookie that is Lax, such as that of the trusted device. So the browser
  // brings what was posted once more, by a GET.
  async return(visit, method) {
    const { browser, values } = visit;
    const isPost = method === 'POST';
    const sealed = isPost ? browser.sealPosted(sentIn(values)) : undefined;
    if (sealed) return redirect(`/oauth/callback?posted=${sealed}`);
    const posted = isPost ? undefined : browser.openPosted(values.get('posted') ?? '');
    return finish({ ...visit, values: posted ?? values }, isPost || posted !== undefined);
  },
};

/** What a provider sends, without other parameters. */
function sentIn(values: URLSearchParams): URLSearchParams {
  const names = ['state', 'code', 'iss', 'error', 'user'];
  return new URLSearchParams(names.map((each): [string, string] => [each, values.get(each) ?? '']));
}

async function finish(visit: Visit, wasPosted: boolean): Promise<View> {
  const { auth, browser, values } = visit;
  const { state, code, iss, error, user } = Object.fromEntries(sentIn(values));
  const own = {
    clientNonce: browser.nonceForProvider(wasPosted),
    trustedDeviceToken: browser.trustedDeviceToken,
    kind: SessionKind.WEB,
  };
  try {
    const finished = await auth.finishOAuth({ state, code, iss, error: error!.slice(0, 256), user, ...own });
    return await arrive(visit, finished);
  } catch (thrown) {
    const failure = readFailure(thrown);
    const signedIn = await browser.signedIn();
    // After the sign-in, the button Back of the browser leads here once more.
    if (signedIn && failure.reason === 'OAUTH_STATE_INVALID') return redirect('/devices');
    return failedView(visit, failure, nextIn(failure.metadata.client_state));
  }
}

async function arrive({ browser, words }: Visit, { tokens, clientState }: FinishOAuthResponse): Promise<View> {
  if (!tokens) return noticeView(words.provider.checkMail);
  await browser.signIn(tokens);
  const next = nextIn(clientState);
  return wayTo(next, await browser.signedIn()) ?? redirect(next);
}

function nextIn(clientState = ''): string {
  return nextOf({ values: new URLSearchParams({ next: clientState }) });
}

function failedView(visit: Visit, failure: Failure, next: string): View {
  const { words } = visit;
  const { refused, again, failed } = words.provider;
  const known = refused[failure.reason as keyof typeof refused];
  const problem = known ?? (failure.trouble === 'failed' ? failed : describeForm(visit, failure));
  return {
    status: failure.status,
    title: words.signIn.title,
    body: html`${alertBox(problem)}
${link(onTheWay('/sign-in', next), again)}`,
    isError: true,
    retryAfter: failure.retryAfter,
  };
}
