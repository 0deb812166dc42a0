import { alertBox, type Html, html } from './html.ts';
import {
  awaitsFactor,
  describeForm,
  labelled,
  link,
  nextOf,
  onTheWay,
  ownForm,
  redirect,
  requireOwnForm,
} from './own-form.ts';
import { describePassword } from './password-reset.ts';
import { type Failure, readFailure } from './trouble.ts';
import { noticeView, type Page, type View, type Visit } from './visit.ts';

/** The page that registers a user. A guest keeps what they have. */
export const registration: Page = {
  async show(visit) {
    const signedIn = await visit.browser.signedIn();
    const isDone = signedIn && !signedIn.user.isAnonymous && !awaitsFactor(signedIn);
    return isDone ? redirect(nextOf(visit)) : registrationView(visit);
  },

  async act(visit) {
    const { auth, browser, words, values } = visit;
    try {
      await requireOwnForm(visit);
      browser.keepNext(nextOf(visit));
      const signedIn = await browser.signedIn();
      const guest = signedIn?.user.isAnonymous ? signedIn : undefined;
      const request = {
        email: values.get('email') ?? '',
        password: values.get('password') ?? '',
        name: values.get('name') ?? '',
        inviteCode: values.get('invite_code') ?? '',
      };
      const { tokens } = await auth.register(request, guest?.as);
      if (!tokens) return noticeView(words.register.checkMail, wayToSignIn(visit));
      await (guest ? browser.keep(tokens) : browser.signIn(tokens));
      return redirect(nextOf(visit));
    } catch (thrown) {
      return registrationView(visit, readFailure(thrown));
    }
  },
};

async function registrationView(visit: Visit, failure?: Failure): Promise<View> {
  const { site, words, values, passwordMinLength } = visit;
  const { title, text, name, email, password, inviteCode, button, signIn } = words.register;
  const next = nextOf(visit);
  const problem = failure && (describePassword(words, failure) ?? describeRegistration(visit, failure));
  const isPassword = failure !== undefined && describePassword(words, failure) !== undefined;
  const given = (field: string) => values.get(field) ?? '';
  const content = html`${labelled({ name: 'name', label: name, type: 'text', autocomplete: 'name', value: given('name'), isOptional: true })}
${labelled({ name: 'email', label: email, type: 'email', autocomplete: 'username', value: given('email'), hasFocus: !isPassword, isRefused: problem !== undefined && !isPassword })}
${labelled({ name: 'password', label: password, type: 'password', autocomplete: 'new-password', show: words.showPassword, hint: words.resetPassword.hint(passwordMinLength), hasFocus: isPassword, isRefused: isPassword })}
${hasInviteCode(visit, failure) ? labelled({ name: 'invite_code', label: inviteCode, type: 'text', autocomplete: 'off', value: inviteCodeOf(visit), isOptional: !visit.requiresInviteCode }) : undefined}
<button>${button}</button>`;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${problem === undefined ? html`<p>${text(site)}</p>` : alertBox(problem)}
${await ownForm(visit, '/register', { next }, content)}
${link(onTheWay('/sign-in', next), signIn)}`,
    hasScript: true,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

function wayToSignIn(visit: Visit): Html {
  return link(onTheWay('/sign-in', nextOf(visit)), visit.words.register.signIn);
}

/** Without need of a code, the field is shown only to people who have one. */
function hasInviteCode(visit: Visit, failure?: Failure): boolean {
  return visit.requiresInviteCode || inviteCodeOf(visit) !== '' || failure?.reason === 'INVITE_CODE_REQUIRED';
}

/** From the form, or from the link: `?invite=`. */
function inviteCodeOf({ values }: Visit): string {
  return values.get('invite_code') ?? values.get('invite') ?? '';
}

function describeRegistration(visit: Visit, failure: Failure): string {
  const { refused } = visit.words.register;
  if (failure.reason === 'INVALID_ARGUMENT' && failure.fields.includes('email')) return refused.INVALID_EMAIL;
  return refused[failure.reason as keyof typeof refused] ?? describeForm(visit, failure);
}
