import { SessionKind } from '../../../gen/gatehouse/v1/session_pb.ts';
import { credentialOf } from './ceremony-form.ts';
import { alertBox, html } from './html.ts';
import {
  awaitsFactor,
  labelled,
  link,
  nextOf,
  onTheWay,
  ownForm,
  redirect,
  requireOwnForm,
  wayTo,
} from './own-form.ts';
import { describePasskey, passkeySignIn } from './passkeys.ts';
import { providerButtons } from './provider-sign-in.ts';
import { type Failure, readFailure } from './trouble.ts';
import { linkToVerification } from './verification.ts';
import type { Page, View, Visit } from './visit.ts';

/** The page that signs a browser in, and then shows the page that asked for it. */
export const signIn: Page = {
  async show(visit) {
    const signedIn = await visit.browser.signedIn();
    // Without their factor a user can still choose another account.
    if (!signedIn || signedIn.user.isAnonymous || awaitsFactor(signedIn)) return signInView(visit);
    return wayTo(nextOf(visit), signedIn) ?? redirect(nextOf(visit));
  },

  async act(visit) {
    const { auth, browser, values } = visit;
    try {
      await requireOwnForm(visit);
      const credential = credentialOf(visit);
      if (credential) {
        const { tokens } = await visit.mfa.finishPasskeySignIn({ credential, kind: SessionKind.WEB });
        await browser.signIn(tokens!);
        return redirect(nextOf(visit));
      }
      const credentials = { email: values.get('email') ?? '', password: values.get('password') ?? '' };
      const { trustedDeviceToken } = browser;
      const { tokens } = await auth.signIn({ ...credentials, trustedDeviceToken, kind: SessionKind.WEB });
      await browser.signIn(tokens!);
      return wayTo(nextOf(visit), await browser.signedIn()) ?? redirect(nextOf(visit));
    } catch (thrown) {
      return signInView(visit, readFailure(thrown));
    }
  },
};

/** Signs the browser out. A link to it asks first. */
export const signOut: Page = {
  async show(visit) {
    const { words, site, browser } = visit;
    if (!(await browser.signedIn())) return redirect(onTheWay('/sign-in', nextOf(visit)));
    const { title, text, button } = words.signOut;
    const form = await ownForm(visit, '/sign-out', { next: nextOf(visit) }, html`<button>${button}</button>`);
    return { status: 200, title, body: html`<p>${text(site)}</p>\n${form}` };
  },

  async act(visit) {
    // In a second tab the user may have signed out already.
    if (await visit.browser.signedIn()) {
      await requireOwnForm(visit);
      await visit.browser.signOut();
    }
    return redirect(onTheWay('/sign-in', nextOf(visit)));
  },
};

async function signInView(visit: Visit, failure?: Failure): Promise<View> {
  const { site, words, values } = visit;
  const { title, text, email, password, button, register, forgot } = words.signIn;
  const next = nextOf(visit);
  const given = values.get('email') ?? '';
  const content = html`${labelled({ name: 'email', label: email, type: 'email', autocomplete: 'username webauthn', value: given, hasFocus: given === '' })}
${labelled({ name: 'password', label: password, type: 'password', autocomplete: 'current-password', show: words.showPassword, hasFocus: given !== '', isRefused: failure !== undefined })}
<button>${button}</button>`;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure ? alertBox(describeSignIn(visit, failure)) : html`<p>${text(site)}</p>`}
${linkToVerification(visit, next, failure)}
${await ownForm(visit, '/sign-in', { next }, content)}
${await passkeySignIn(visit, next, failure)}
${await providerButtons(visit, next)}${link(onTheWay('/forgot-password', next), forgot)}
${link(onTheWay('/register', next), register)}`,
    hasScript: true,
    hasCeremony: true,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

function describeSignIn(visit: Visit, failure: Failure): string {
  const { refused } = visit.words.signIn;
  return refused[failure.reason as keyof typeof refused] ?? describePasskey(visit, failure);
}
