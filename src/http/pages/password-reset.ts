import { SessionKind } from '../../../gen/gatehouse/v1/session_pb.ts';
import { Refusal } from '../../errors.ts';
import { type Html, html } from './html.ts';
import { link, onTheWay, redirect, takeNext } from './own-form.ts';
import { type Failure, readFailure } from './trouble.ts';
import { doneView, formView, mayPass, type Page, tokenOf, troubleView, type View, type Visit } from './visit.ts';
import type { Words } from './words.ts';

/** The page that asks for a new password. */
export const passwordReset: Page = {
  async show(visit) {
    const token = tokenOf(visit);
    if (!token) throw new Refusal('TOKEN_REQUIRED');
    const { valid, email, factorRequired } = await visit.auth.verifyResetToken({ token });
    // Before the reader has thought of a password.
    if (!valid) throw new Refusal('RESET_TOKEN_USED_OR_EXPIRED');
    return factorRequired
      ? factorView(visit, email)
      : formView(visit, visit.words.resetPassword, fields(visit, email, false));
  },

  async act(visit) {
    const { auth, words, values } = visit;
    try {
      await auth.resetPassword({ token: tokenOf(visit), newPassword: values.get('password') ?? '' });
      const next = takeNext(visit);
      const onward = next === undefined ? undefined : link(onTheWay('/sign-in', next), words.signIn.title);
      return doneView(words.resetPassword, onward);
    } catch (thrown) {
      const failure = readFailure(thrown);
      if (failure.reason === 'INSUFFICIENT_AAL') return leadToFactor(visit);
      const problem = describePassword(words, failure);
      if (problem === undefined && !mayPass(failure)) return troubleView(words, failure);
      // The account in the form is only shown. It decides nothing.
      const shown = fields(visit, values.get('account') ?? '', problem !== undefined);
      return formView(visit, words.resetPassword, shown, failure, problem);
    }
  },
};

/** For a user with a second factor, whose mail alone does not replace the password. */
function factorView(visit: Visit, account: string): View {
  const { resetPassword, resetWithFactor } = visit.words;
  const deed = { ...resetPassword, text: () => resetWithFactor.text, button: resetWithFactor.button };
  return formView(visit, deed, accountField(visit, account));
}

/** Signs in with the link, and leads on to the factor and the new password. */
async function leadToFactor(visit: Visit): Promise<View> {
  const { auth, browser, words } = visit;
  try {
    const { tokens } = await auth.signInWithResetToken({ token: tokenOf(visit), kind: SessionKind.WEB });
    await browser.signIn(tokens!);
  } catch (thrown) {
    return troubleView(words, readFailure(thrown));
  }
  return redirect(onTheWay('/factor', '/new-password'));
}

function accountField({ words }: Visit, account: string): Html {
  return html`<label for="account">${words.resetPassword.account}</label>
<input id="account" name="account" type="email" autocomplete="username" value="${account}" readonly>`;
}

/** The account is for the reader and for the browser, which saves the password under it. */
function fields(visit: Visit, account: string, isRefused: boolean): Html {
  const { words, passwordMinLength } = visit;
  const { newPassword, hint } = words.resetPassword;
  const describedBy = isRefused ? 'hint problem' : 'hint';
  return html`${accountField(visit, account)}
<label for="password">${newPassword}</label>
<input id="password" name="password" type="password" autocomplete="new-password" required autofocus aria-describedby="${describedBy}"${isRefused ? html` aria-invalid="true"` : undefined}>
<p class="hint" id="hint">${hint(passwordMinLength)}</p>`;
}

/** Why the password is refused. Undefined if the failure has another cause. */
export function describePassword(words: Words, { reason, metadata, fields }: Failure): string | undefined {
  if (reason === 'PASSWORD_REQUIRED') return words.passwordMissing;
  if (reason === 'INVALID_ARGUMENT' && fields.some((each) => each === 'password' || each === 'new_password'))
    return words.passwordUnusable;
  if (reason !== 'WEAK_PASSWORD') return undefined;
  const { reasons = '', min_length: minLength = '' } = metadata;
  return reasons
    .split(',')
    .map((each) => words.weak[each as keyof Words['weak']](minLength))
    .join(' ');
}
