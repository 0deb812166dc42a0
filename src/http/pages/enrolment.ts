import { FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { alertBox, Html, html } from './html.ts';
import { describeForm, labelled, link, ownForm, redirect } from './own-form.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { View, Visit } from './visit.ts';

/** An authenticator app that is being added. Its secret is in a cookie, encrypted. */
interface Enrolment {
  readonly factorId: string;
  readonly name: string;
  readonly secret: string;
  readonly uri: string;
}

/** Shows the secret of a new factor or, after a reload or Back, the one that the user was shown before. */
export async function beginEnrolment(visit: Visit, signedIn: SignedIn): Promise<View> {
  const { browser, values } = visit;
  const name = (values.get('name') ?? '').trim();
  const earlier = await readEnrolment(visit, signedIn);
  if (earlier?.name === name) return redirect(`/factors?enrolment=${earlier.factorId}`);
  const { factor, totp } = await enrolAgain(visit, signedIn, name);
  const enrolment: Enrolment = { factorId: factor!.id, name, secret: totp!.secret, uri: totp!.uri };
  browser.enrolment = await browser.seal('enrolment', enrolment);
  return redirect(`/factors?enrolment=${enrolment.factorId}`);
}

/**
 * Enrols an app in place of an unfinished one of the same name. A double click sends the form twice, and the browser shows the
 * second response, without the cookie of the first. An unfinished app of another browser would block the name as well.
 */
async function enrolAgain({ mfa }: Visit, { as }: SignedIn, friendlyName: string) {
  const enrol = () => mfa.enrollFactor({ type: FactorType.TOTP, friendlyName }, as);
  try {
    return await enrol();
  } catch (thrown) {
    if (readFailure(thrown).reason !== 'FACTOR_NAME_CONFLICT') throw thrown;
    const { factors } = await mfa.listFactors({}, as);
    const unfinished = factors.find((each) => each.friendlyName === friendlyName && !each.verified);
    if (!unfinished) throw thrown;
    await mfa.unenrollFactor({ factorId: unfinished.id }, as);
    return enrol();
  }
}

/** Undefined if this browser enrols nothing, or the factor was verified or deleted. */
export async function readEnrolment({ browser, mfa }: Visit, { as }: SignedIn): Promise<Enrolment | undefined> {
  const sealed = browser.enrolment;
  const enrolment = sealed && ((await browser.open('enrolment', sealed)) as Enrolment | undefined);
  if (!enrolment) return undefined;
  const { factors } = await mfa.listFactors({}, as);
  return factors.some(({ id, verified }) => id === enrolment.factorId && !verified) ? enrolment : undefined;
}

/** Verifies the factor. The session goes on with new tokens. */
export async function finishEnrolment({ browser, mfa, values }: Visit, { as }: SignedIn): Promise<View> {
  const factorId = values.get('factor_id') ?? '';
  const code = (values.get('code') ?? '').replace(/\s/g, '');
  const { challengeId } = await mfa.challengeFactor({ factorId }, as);
  const { tokens } = await mfa.verifyFactor({ factorId, challengeId, proof: { case: 'code', value: code } }, as);
  browser.keep(tokens!);
  browser.enrolment = undefined;
  return redirect('/factors');
}

export async function enrolmentView(visit: Visit, enrolment: Enrolment, failure?: Failure): Promise<View> {
  const { title, scan, qrCode, manual, code, button, cancel } = visit.words.factors.enrolment;
  const content = html`${labelled({
    name: 'code',
    label: code,
    type: 'text',
    autocomplete: 'one-time-code',
    isNumeric: true,
    hasFocus: true,
    isRefused: failure !== undefined,
  })}<button>${button}</button>`;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure && alertBox(describeCode(visit, failure))}
<p>${scan}</p>
<div class="qr" role="img" aria-label="${qrCode}">${Html.qrCode(enrolment.uri)}</div>
<p>${manual}<br><strong class="key">${enrolment.secret.match(/.{1,4}/g)!.join(' ')}</strong></p>
${await ownForm(visit, '/factors', { do: 'verify', factor_id: enrolment.factorId }, content)}
${link('/factors', cancel)}`,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

function describeCode(visit: Visit, failure: Failure): string {
  const { refused } = visit.words.factor;
  return refused[failure.reason as keyof typeof refused] ?? describeForm(visit, failure);
}
