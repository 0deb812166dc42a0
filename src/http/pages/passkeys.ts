import type { Passkey } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { ceremonyForm, credentialOf } from './ceremony-form.ts';
import { alertBox, type Html, html, joined } from './html.ts';
import { describeForm, labelled, link, ownForm, redirect } from './own-form.ts';
import { ago } from './times.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { View, Visit } from './visit.ts';

/** The passkeys of a user, and the button that adds one. A browser forgets those that are not accepted any longer. */
export async function passkeysPart(visit: Visit, { as }: SignedIn): Promise<Html> {
  const words = visit.words.passkeys;
  const { passkeys, acceptedCredentials } = await visit.mfa.listPasskeys({}, as);
  const { rpId, userId, allAcceptedCredentialIds } = acceptedCredentials!;
  const accepted = JSON.stringify({ rpId, userId, allAcceptedCredentialIds });
  const items = await Promise.all(passkeys.map((each) => passkeyItem(visit, each)));
  const add = await ownForm(visit, '/factors', { do: 'passkey' }, html`<button class="quiet">${words.add}</button>`);
  return html`<section data-accepted="${accepted}">
<h2>${words.title}</h2>
<p>${words.text}</p>
${items.length === 0 ? undefined : html`<ul class="list">\n${joined(items)}</ul>`}
<div data-passkeys hidden>${add}</div>
<noscript><p class="hint">${words.needsScript}</p></noscript>
</section>`;
}

async function passkeyItem(visit: Visit, passkey: Passkey): Promise<Html> {
  const { words, language, now } = visit;
  const { unnamed, rename, renameLabel } = words.passkeys;
  const { remove, lastUsed, neverUsed } = words.factors;
  const { id, friendlyName, lastUseTime } = passkey;
  const name = friendlyName || unnamed;
  const used = lastUseTime ? html`${lastUsed} ${ago(lastUseTime, language, now)}` : neverUsed;
  const field = html`<input name="passkey_name" value="${friendlyName}" aria-label="${renameLabel}: ${name}" required maxlength="100" autocomplete="off">
<button class="quiet" aria-label="${rename}: ${name}">${rename}</button>`;
  const button = html`<button class="quiet" aria-label="${remove}: ${name}">${remove}</button>`;
  return html`<li>
<p><strong>${name}</strong><br>
<span class="hint">${used}</span></p>
${await ownForm(visit, '/factors', { do: 'rename-passkey', passkey_id: id }, field)}
${await ownForm(visit, '/factors', { do: 'delete-passkey', passkey_id: id }, button)}
</li>
`;
}

/** Shows the form that creates a passkey, and stores what it has created. */
export async function registerPasskey(visit: Visit, signedIn: SignedIn): Promise<View> {
  const { mfa, values } = visit;
  const credential = credentialOf(visit);
  if (!credential) return registrationView(visit, signedIn);
  const challengeId = values.get('challenge_id') ?? '';
  const friendlyName = (values.get('passkey_name') ?? '').trim();
  try {
    await mfa.finishPasskeyRegistration({ challengeId, credential, friendlyName }, signedIn.as);
    return redirect('/factors');
  } catch (thrown) {
    const failure = readFailure(thrown);
    // The page needs a proof first, or is not the user's any longer.
    if (failure.status === 401 || failure.status === 403) throw thrown;
    return registrationView(visit, signedIn, failure);
  }
}

async function registrationView(visit: Visit, { as }: SignedIn, failure?: Failure): Promise<View> {
  const { title, text, name, usualName, create, needsScript } = visit.words.passkeys;
  const { challengeId, creationOptions, expireTime } = await visit.mfa.startPasskeyRegistration({}, as);
  const value = visit.values.get('passkey_name') ?? usualName;
  const content = html`${labelled({ name: 'passkey_name', label: name, type: 'text', autocomplete: 'off', value, isOptional: true })}
<button autofocus>${create}</button>`;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure && alertBox(describePasskey(visit, failure))}
<p>${text}</p>
<noscript><p class="hint">${needsScript}</p></noscript>
${await ceremonyForm(visit, {
  path: '/factors',
  kind: 'create',
  options: creationOptions,
  expires: expireTime,
  hidden: { do: 'passkey', challenge_id: challengeId },
  content,
})}
${link('/factors', visit.words.factor.cancel)}`,
    hasCeremony: true,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

export function describePasskey(visit: Visit, failure: Failure): string {
  const { refused } = visit.words.passkeys;
  return refused[failure.reason as keyof typeof refused] ?? describeForm(visit, failure);
}

/**
 * The form of the sign-in page. It appears where the browser has passkeys, which are in the autofill of the address as well. A
 * browser forgets a passkey that was deleted.
 */
export async function passkeySignIn(visit: Visit, next: string, failure?: Failure): Promise<Html | undefined> {
  // Over a rate limit the password is left.
  const started = await visit.mfa.startPasskeySignIn({}).catch(() => undefined);
  if (!started) return undefined;
  const { requestOptions, expireTime } = started;
  const content = html`<button class="quiet">${visit.words.passkeys.signIn}</button>`;
  const form = await ceremonyForm(visit, {
    path: '/sign-in',
    kind: 'get',
    options: requestOptions,
    expires: expireTime,
    hidden: { next },
    content,
    renew: `/sign-in?${new URLSearchParams({ next })}`,
    hasAutofill: true,
    isHidden: true,
  });
  if (failure?.reason !== 'PASSKEY_UNKNOWN') return form;
  const unknown = { rpId: requestOptions?.rpId, credentialId: credentialOf(visit)?.id };
  return html`${form}<div data-unknown="${JSON.stringify(unknown)}"></div>`;
}

/** Offers a passkey to a user who signs in by password, once in each browser. */
export async function passkeyOffer(visit: Visit, { as, user, assurance }: SignedIn): Promise<Html | undefined> {
  const isByPassword = assurance.amr.some(({ method }) => method === 'password');
  if (visit.browser.wasOffered || !isByPassword || !user.emailVerified) return undefined;
  const { passkeys } = await visit.mfa.listPasskeys({}, as);
  if (passkeys.length > 0) return undefined;
  visit.browser.wasOffered = true;
  const { offer, add } = visit.words.passkeys;
  return html`<div class="good" data-passkeys hidden><p>${offer}</p>${link('/factors', add)}</div>`;
}
