import { alertBox, html } from './html.ts';
import {
  awaitsFactor,
  describeForm,
  labelled,
  link,
  onTheWay,
  ownForm,
  redirect,
  requireOwnForm,
  takeNext,
} from './own-form.ts';
import { describePassword } from './password-reset.ts';
import { type Failure, readFailure } from './trouble.ts';
import { noticeView, type Page, type View, type Visit } from './visit.ts';

/** The page that replaces a forgotten password in a session that a reset link has opened. The link has led to the factor first. */
export const newPassword: Page = {
  async show(visit) {
    const signedIn = await visit.browser.signedIn();
    if (!signedIn) return redirect(onTheWay('/forgot-password', '/devices'));
    return awaitsFactor(signedIn) ? toFactor() : passwordView(visit);
  },

  async act(visit) {
    const { auth, browser, values, words } = visit;
    const signedIn = await browser.signedIn();
    if (!signedIn) return redirect(onTheWay('/forgot-password', '/devices'));
    try {
      await requireOwnForm(visit);
      const { tokens } = await auth.changePassword({ newPassword: values.get('password') ?? '' }, signedIn.as);
      browser.keep(tokens!);
    } catch (thrown) {
      const failure = readFailure(thrown);
      if (failure.reason === 'INSUFFICIENT_AAL') return toFactor();
      // The session was not opened by a reset link, or too long ago.
      if (failure.reason === 'CURRENT_PASSWORD_REQUIRED') return redirect(onTheWay('/forgot-password', '/devices'));
      return passwordView(visit, failure);
    }
    const onward = link(takeNext(visit) ?? '/devices', words.verification.onward);
    return noticeView({ title: words.resetPassword.doneTitle, text: words.newPassword.done }, onward);
  },
};

function toFactor(): View {
  return redirect(onTheWay('/factor', '/new-password'));
}

async function passwordView(visit: Visit, failure?: Failure): Promise<View> {
  const { words, passwordMinLength } = visit;
  const { title, button, newPassword: label, hint } = words.resetPassword;
  const problem = failure && (describePassword(words, failure) ?? describeForm(visit, failure));
  const content = html`${labelled({
    name: 'password',
    label,
    type: 'password',
    autocomplete: 'new-password',
    show: words.showPassword,
    hint: hint(passwordMinLength),
    hasFocus: true,
    isRefused: problem !== undefined,
  })}<button>${button}</button>`;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${problem === undefined ? html`<p>${words.newPassword.text}</p>` : alertBox(problem)}
${await ownForm(visit, '/new-password', {}, content)}`,
    hasScript: true,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}
