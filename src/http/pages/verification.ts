import type { SignedIn } from './browser-session.ts';
import { alertBox, type Html, html } from './html.ts';
import { describeForm, labelled, link, nextOf, onTheWay, ownForm, redirect, requireOwnForm } from './own-form.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { Page, View, Visit } from './visit.ts';

/** The page that sends the link which verifies an address, and leads back to the page that needed it. */
export const verification: Page = {
  async show(visit) {
    const signedIn = await visit.browser.signedIn();
    return signedIn?.user.emailVerified ? redirect(nextOf(visit)) : verificationView(visit, signedIn);
  },

  async act(visit) {
    const { auth, browser, words, values } = visit;
    const signedIn = await browser.signedIn();
    try {
      await requireOwnForm(visit);
      await (signedIn
        ? auth.sendVerificationEmail({}, signedIn.as)
        : auth.sendVerificationEmail({ email: values.get('email') ?? '' }));
    } catch (thrown) {
      return verificationView(visit, signedIn, readFailure(thrown));
    }
    browser.keepNext(nextOf(visit));
    const { doneTitle, done } = words.verification;
    const body = html`<div class="good" role="status"><p>${done}</p></div>\n${onward(visit, signedIn)}`;
    return { status: 200, title: doneTitle, body };
  },
};

async function verificationView(visit: Visit, signedIn: SignedIn | undefined, failure?: Failure): Promise<View> {
  const { title, text, email, button } = visit.words.verification;
  const problem = failure && describeVerification(visit, failure);
  const field = { name: 'email', label: email, type: 'email', autocomplete: 'username', hasFocus: true } as const;
  const value = visit.values.get('email') ?? '';
  const content = html`${signedIn ? undefined : labelled({ ...field, value, isRefused: failure !== undefined })}
<button>${button}</button>`;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${problem === undefined ? html`<p>${text(signedIn?.user.email)}</p>` : alertBox(problem)}
${await ownForm(visit, '/verification', { next: nextOf(visit) }, content)}
${onward(visit, signedIn)}`,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

/** To the page that needed the address, for users who have opened the link in the mail. */
function onward(visit: Visit, signedIn: SignedIn | undefined): Html {
  const next = nextOf(visit);
  return link(signedIn ? next : onTheWay('/sign-in', next), visit.words.verification.onward);
}

/** To the page that sends the link, below the refusal of a user whose address is not verified. */
export function linkToVerification({ words }: Visit, next: string, failure: Failure | undefined): Html | undefined {
  if (failure?.reason !== 'EMAIL_NOT_VERIFIED') return undefined;
  return link(onTheWay('/verification', next), words.verification.title);
}

function describeVerification(visit: Visit, failure: Failure): string {
  if (failure.reason === 'EMAIL_VERIFICATION_DISABLED') return visit.words.verification.disabled;
  return describeForm(visit, failure);
}
