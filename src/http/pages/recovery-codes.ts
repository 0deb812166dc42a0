import { type Factor, FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { type Html, html, joined } from './html.ts';
import { link, ownForm, redirect } from './own-form.ts';
import { readFailure } from './trouble.ts';
import type { View, Visit } from './visit.ts';

/** The recovery codes of a user, as a factor. Undefined if they have never created any. */
export function codesOf(factors: readonly Factor[]): Factor | undefined {
  return factors.find(({ type }) => type === FactorType.RECOVERY_CODE);
}

/** How many codes are left, and the button that replaces them. */
export async function codesPart(visit: Visit, codes: Factor | undefined): Promise<Html> {
  const words = visit.words.factors;
  const button = html`<button class="quiet">${codes ? words.codesReplace : words.codesCreate}</button>`;
  return html`<h2>${words.codes}</h2>
<p>${words.codesText}${codes && html` <strong>${words.codesLeft(codes.remainingCodes)}</strong>`}</p>
${codes && html`<p>${words.codesWarning}</p>`}
${await ownForm(visit, '/factors', { do: 'codes', set: codes?.id ?? '' }, button)}`;
}

/**
 * Creates recovery codes and shows them once. A form that is sent again, by a double click or a reload of the page with the
 * codes, replaces no codes: it names those that it replaces.
 */
export async function createCodes(visit: Visit, { as }: SignedIn): Promise<View> {
  const { mfa, values } = visit;
  const replacesFactorId = values.get('set') ?? '';
  try {
    const { codes } = await mfa.generateRecoveryCodes({ replacesFactorId }, as);
    return codesView(visit, codes);
  } catch (thrown) {
    if (readFailure(thrown).reason !== 'RECOVERY_CODES_CHANGED') throw thrown;
    return redirect('/factors?codes=created');
  }
}

function codesView({ site, words }: Visit, codes: readonly string[]): View {
  const { title, text, copy, copied, print, save, file, onward } = words.factors.newCodes;
  const content = Buffer.from(`${file(site)}\n\n${codes.join('\n')}\n`).toString('base64');
  return {
    status: 200,
    title,
    body: html`<p>${text}</p>
<ul class="codes" id="codes" data-copy="${copy}" data-copied="${copied}" data-print="${print}">
${joined(codes.map((each) => html`<li>${each}</li>\n`))}</ul>
<p class="way"><a href="data:text/plain;charset=utf-8;base64,${content}" download="recovery-codes.txt">${save}</a></p>
${link('/factors', onward)}`,
    hasScript: true,
  };
}
