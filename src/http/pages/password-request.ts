import { alertBox, html } from './html.ts';
import { describeForm, labelled, link, nextOf, onTheWay, ownForm, requireOwnForm } from './own-form.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { Page, View, Visit } from './visit.ts';

/** The page that sends the link for a new password. Its response is the same for every address. */
export const passwordRequest: Page = {
  show: requestView,

  async act(visit) {
    const { auth, browser, words, values } = visit;
    try {
      await requireOwnForm(visit);
      await auth.requestPasswordReset({ email: values.get('email') ?? '' });
    } catch (thrown) {
      return requestView(visit, readFailure(thrown));
    }
    browser.keepNext(nextOf(visit));
    const { doneTitle, done, signIn } = words.forgotPassword;
    const body = html`<div class="good" role="status"><p>${done}</p></div>
${link(onTheWay('/sign-in', nextOf(visit)), signIn)}`;
    return { status: 200, title: doneTitle, body };
  },
};

async function requestView(visit: Visit, failure?: Failure): Promise<View> {
  const { words, values } = visit;
  const { title, text, required, email, button, signIn } = words.forgotPassword;
  const next = nextOf(visit);
  const signedIn = await visit.browser.signedIn();
  const reason = signedIn?.user.mustChangePassword ? required : text;
  const value = values.get('email') ?? signedIn?.user.email ?? '';
  const content = html`${labelled({ name: 'email', label: email, type: 'email', autocomplete: 'username', value, hasFocus: true, isRefused: failure !== undefined })}
<button>${button}</button>`;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure ? alertBox(describeForm(visit, failure)) : html`<p>${reason}</p>`}
${await ownForm(visit, '/forgot-password', { next }, content)}
${link(onTheWay('/sign-in', next), signIn)}`,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}
