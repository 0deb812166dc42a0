import { FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { ChallengeFactorResponse } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { ceremonyForm, credentialOf } from './ceremony-form.ts';
import { alertBox, type Html, html } from './html.ts';
import { labelled, link, ownForm, redirect } from './own-form.ts';
import { describePasskey } from './passkeys.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { View, Visit } from './visit.ts';

/** The form that adds a security key, for browsers that have them. */
export async function addKeyPart(visit: Visit, failure: Failure | undefined): Promise<Html> {
  const { add, text, name, usualName, button } = visit.words.securityKeys;
  const isRefused = failure?.reason === 'FACTOR_NAME_CONFLICT' && visit.values.has('key_name');
  const value = visit.values.get('key_name') ?? usualName;
  const content = html`${labelled({ name: 'key_name', label: name, type: 'text', autocomplete: 'off', value, isRefused })}
<button>${button}</button>`;
  return html`<h2>${add}</h2>
<p class="hint">${text}</p>
<div data-passkeys hidden>${await ownForm(visit, '/factors', { do: 'enroll-key' }, content)}</div>
<noscript><p class="hint">${visit.words.passkeys.needsScript}</p></noscript>`;
}

/** Enrols a security key. A form that is sent again, after Back or a reload, leads to the same key. */
export async function beginKey({ mfa, values }: Visit, { as }: SignedIn): Promise<View> {
  const friendlyName = (values.get('key_name') ?? '').trim();
  const { factors } = await mfa.listFactors({}, as);
  const isSame = (each: (typeof factors)[number]) => each.type === FactorType.WEBAUTHN && !each.verified;
  const earlier = factors.find((each) => isSame(each) && each.friendlyName === friendlyName);
  const { id } = earlier ?? (await mfa.enrollFactor({ type: FactorType.WEBAUTHN, friendlyName }, as)).factor!;
  return redirect(`/factors?key=${id}`);
}

/** The page on which the key is touched. Undefined if no key of this id is being added. Opening it begins no challenge. */
export async function readKey(visit: Visit, { as }: SignedIn): Promise<View | undefined> {
  const { factors } = await visit.mfa.listFactors({}, as);
  const key = factors.find(({ id, verified }) => id === visit.values.get('key') && !verified);
  return key && keyView(visit, key.id);
}

/** Begins the ceremony, or stores what the key has created. The session goes on with new tokens. */
export async function finishKey(visit: Visit, { as }: SignedIn): Promise<View> {
  const { browser, mfa, values } = visit;
  const factorId = values.get('factor_id') ?? '';
  try {
    const credential = credentialOf(visit);
    if (!credential) return await keyView(visit, factorId, { asked: await mfa.challengeFactor({ factorId }, as) });
    const challengeId = values.get('challenge_id') ?? '';
    const proof = { case: 'credential', value: credential } as const;
    const { tokens } = await mfa.verifyFactor({ factorId, challengeId, proof }, as);
    browser.keep(tokens!);
    return redirect('/factors');
  } catch (thrown) {
    const failure = readFailure(thrown);
    // The key is no longer being added, or the session has ended.
    if (failure.status === 401 || failure.status === 403) throw thrown;
    return keyView(visit, factorId, { failure });
  }
}

async function keyView(
  visit: Visit,
  factorId: string,
  { asked, failure }: { asked?: ChallengeFactorResponse; failure?: Failure } = {},
): Promise<View> {
  const { securityKeys, passkeys, factor } = visit.words;
  const form = await ceremonyForm(visit, {
    path: '/factors',
    kind: 'create',
    options: asked?.creationOptions,
    expires: asked?.expireTime,
    known: securityKeys.known,
    hidden: { do: 'verify-key', factor_id: factorId, challenge_id: asked?.challengeId ?? '' },
    content: html`<button autofocus>${securityKeys.use}</button>`,
  });
  return {
    status: failure?.status ?? 200,
    title: securityKeys.add,
    body: html`${failure && alertBox(describeKey(visit, failure))}
<p>${securityKeys.touch}</p>
<noscript><p class="hint">${passkeys.needsScript}</p></noscript>
${form}
${link('/factors', factor.cancel)}`,
    hasCeremony: true,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

function describeKey(visit: Visit, failure: Failure): string {
  const { refused } = visit.words.securityKeys;
  return refused[failure.reason as keyof typeof refused] ?? describePasskey(visit, failure);
}
