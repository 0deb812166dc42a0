import type { SignedIn } from './browser-session.ts';
import { type Html, html, joined } from './html.ts';
import type { Failure } from './trouble.ts';
import { describeTrouble, type View, type Visit } from './visit.ts';

/** The pages that a sign-in may lead to. Another address would let a link of ours lead to a site of an attacker. */
const pagesAfterSignIn = /^\/(device|devices|factors|new-password|cli|login)(\?[\w%=&.~+-]*)?$/;

/** The page to show after the sign-in. */
export function nextOf({ values }: Pick<Visit, 'values'>): string {
  return pageAfterSignIn(values.get('next')) ?? '/devices';
}

function pageAfterSignIn(next: string | null | undefined): string | undefined {
  return next && pagesAfterSignIn.test(next) ? next : undefined;
}

/**
 * The page that this browser was on the way to when it was sent a link by mail, which opens without it. Undefined in another
 * browser.
 */
export function takeNext({ browser }: Visit): string | undefined {
  return pageAfterSignIn(browser.takeNext());
}

/** The address of a page on the way to the sign-in, which keeps the page to show after it. */
export function onTheWay(
  page: '/sign-in' | '/factor' | '/register' | '/forgot-password' | '/verification',
  next: string,
): string {
  return `${page}?next=${encodeURIComponent(next)}`;
}

/** How a page names the user who is signed in. The provider of a user may have no address. */
export function shownUser({ words }: Pick<Visit, 'words'>, { user }: Pick<SignedIn, 'user'>): string {
  return user.isAnonymous ? words.decision.guest : user.email || user.name || user.id;
}

/** Whether the user has a second factor that this session has not seen, on a device that they do not trust. */
export function awaitsFactor({ assurance }: SignedIn): boolean {
  const { factors, currentAal, nextAal, trustedDevice } = assurance;
  return factors.length > 0 && currentAal < nextAal && !trustedDevice;
}

/** Where a user has to go before this page: to the sign-in, to their factor or to a new password. Undefined for a user who is ready. */
export function wayTo(next: string, signedIn: SignedIn | undefined): View | undefined {
  if (!signedIn) return redirect(onTheWay('/sign-in', next));
  if (awaitsFactor(signedIn)) return redirect(onTheWay('/factor', next));
  return signedIn.user.mustChangePassword ? redirect(onTheWay('/forgot-password', next)) : undefined;
}

export function redirect(location: string): View {
  return { status: 303, title: '', body: html``, location };
}

/** A form of the browser's session. It posts to `path` and has hidden fields beside those that are shown. */
export async function ownForm(
  { browser }: Visit,
  path: string,
  hidden: Readonly<Record<string, string>>,
  content: Html,
): Promise<Html> {
  const fields = Object.entries({ ...hidden, form_token: await browser.formToken(path) });
  const inputs = joined(fields.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`));
  return html`<form method="post" action="${path}">
${inputs}${content}
</form>`;
}

/** Throws CALLER_NOT_ALLOWED. */
export async function requireOwnForm({ browser, path, values }: Visit): Promise<void> {
  await browser.requireFormToken(path, values.get('form_token') ?? '');
}

interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: 'email' | 'password' | 'text';
  readonly autocomplete: string;
  readonly value?: string;
  readonly hint?: string;
  readonly isOptional?: boolean;
  readonly isNumeric?: boolean;
  readonly hasFocus?: boolean;
  readonly isRefused?: boolean;
  /** The text of the button that shows a password. */
  readonly show?: string;
}

export function labelled(field: Field): Html {
  const { name, label, type, autocomplete, value = '', hint } = field;
  const described = [hint === undefined ? [] : `${name}-hint`, field.isRefused ? 'problem' : []].flat().join(' ');
  return html`<label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}" value="${value}"${field.isNumeric ? html` inputmode="numeric"` : undefined}${flag('required', !field.isOptional)}${flag('autofocus', field.hasFocus)}${field.show && html` data-show="${field.show}"`}${
    field.isRefused ? html` aria-invalid="true"` : undefined
  }${described === '' ? undefined : html` aria-describedby="${described}"`}>
${
  hint === undefined
    ? undefined
    : html`<p class="hint" id="${name}-hint">${hint}</p>
`
}`;
}

function flag(name: 'required' | 'autofocus', isSet: boolean | undefined): Html | undefined {
  if (!isSet) return undefined;
  return name === 'required' ? html` required` : html` autofocus`;
}

export function link(to: string, text: string): Html {
  return html`<p class="way"><a href="${to}">${text}</a></p>`;
}

/** Why a form was refused. */
export function describeForm({ words }: Visit, failure: Failure): string {
  if (failure.reason === 'CALLER_NOT_ALLOWED') return words.outdatedForm;
  return failure.reason === 'INVALID_ARGUMENT' ? words.invalidForm : describeTrouble(words, failure);
}
