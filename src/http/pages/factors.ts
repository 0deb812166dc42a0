import { type Factor, FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import { Refusal } from '../../errors.ts';
import type { SignedIn } from './browser-session.ts';
import { beginEnrolment, enrolmentView, finishEnrolment, readEnrolment } from './enrolment.ts';
import { alertBox, type Html, html, joined } from './html.ts';
import { labelled, link, onTheWay, ownForm, redirect, requireOwnForm, wayTo } from './own-form.ts';
import { describePasskey, passkeysPart, registerPasskey } from './passkeys.ts';
import { type Pending, proofFor } from './pending-action.ts';
import { codesOf, codesPart, createCodes } from './recovery-codes.ts';
import { addKeyPart, beginKey, finishKey, readKey } from './security-keys.ts';
import { ago } from './times.ts';
import { type Failure, readFailure } from './trouble.ts';
import { linkToVerification } from './verification.ts';
import type { Page, View, Visit } from './visit.ts';

/** The page of a user's second factors, on which they are added and removed. */
export const factorsPage: Page = {
  async show(visit) {
    const signedIn = await visit.browser.signedIn();
    const way = wayOf(signedIn);
    if (way) return way;
    if (visit.values.has('key')) return (await readKey(visit, signedIn!)) ?? redirect('/factors');
    if (!visit.values.has('enrolment')) return factorsView(visit, signedIn!);
    const enrolment = await readEnrolment(visit, signedIn!);
    return enrolment ? enrolmentView(visit, enrolment) : redirect('/factors');
  },

  async act(visit) {
    const signedIn = await visit.browser.signedIn();
    if (!signedIn || signedIn.user.isAnonymous) return wayOf(signedIn)!;
    try {
      await requireOwnForm(visit);
      return await perform(visit, signedIn);
    } catch (thrown) {
      const failure = readFailure(thrown);
      const proof = await proofFor(visit, failure, () => pendingOf(visit, signedIn));
      if (proof) return proof;
      const enrolment = visit.values.get('do') === 'verify' && (await readEnrolment(visit, signedIn));
      return enrolment ? enrolmentView(visit, enrolment, failure) : factorsView(visit, signedIn, failure);
    }
  },
};

/** Guests have an account first. */
function wayOf(signedIn: SignedIn | undefined): View | undefined {
  return signedIn?.user.isAnonymous ? redirect(onTheWay('/register', '/factors')) : wayTo('/factors', signedIn);
}

async function perform(visit: Visit, signedIn: SignedIn): Promise<View> {
  const { values, mfa } = visit;
  switch (values.get('do')) {
    case 'enroll':
      return beginEnrolment(visit, signedIn);
    case 'verify':
      return finishEnrolment(visit, signedIn);
    case 'enroll-key':
      return beginKey(visit, signedIn);
    case 'verify-key':
      return finishKey(visit, signedIn);
    case 'codes':
      return createCodes(visit, signedIn);
    case 'passkey':
      return registerPasskey(visit, signedIn);
    case 'rename-passkey': {
      const friendlyName = (values.get('passkey_name') ?? '').trim();
      await mfa.renamePasskey({ passkeyId: values.get('passkey_id') ?? '', friendlyName }, signedIn.as);
      return redirect('/factors');
    }
    case 'delete-passkey':
      await mfa.deletePasskey({ passkeyId: values.get('passkey_id') ?? '' }, signedIn.as);
      return redirect('/factors');
    case 'remove':
      await mfa.unenrollFactor({ factorId: values.get('factor_id') ?? '' }, signedIn.as);
      return redirect('/factors');
    default:
      throw new Refusal('INVALID_ARGUMENT');
  }
}

async function pendingOf({ values, words, mfa }: Visit, { as }: SignedIn): Promise<Pending> {
  const { deeds } = words.factor;
  const given = (name: string) => values.get(name) ?? '';
  const action = { path: '/factors', back: '/factors' };
  switch (given('do')) {
    case 'enroll': {
      const fields = { do: 'enroll', name: given('name') };
      return { ...action, fields, deed: deeds.enroll(fields.name) };
    }
    case 'enroll-key': {
      const fields = { do: 'enroll-key', key_name: given('key_name') };
      return { ...action, fields, deed: words.securityKeys.addDeed(fields.key_name) };
    }
    case 'passkey':
      return { ...action, fields: { do: 'passkey' }, deed: words.passkeys.addDeed };
    case 'rename-passkey': {
      const name = given('passkey_name').trim();
      const fields = { do: 'rename-passkey', passkey_id: given('passkey_id'), passkey_name: name };
      return { ...action, fields, deed: words.passkeys.renameTo(name) };
    }
    case 'delete-passkey': {
      const { passkeys } = await mfa.listPasskeys({}, as);
      const passkey = passkeys.find(({ id }) => id === given('passkey_id'));
      if (!passkey) throw new Refusal('PASSKEY_NOT_FOUND');
      const fields = { do: 'delete-passkey', passkey_id: passkey.id };
      return { ...action, fields, deed: words.passkeys.remove(passkey.friendlyName || words.passkeys.unnamed) };
    }
    case 'codes':
      return { ...action, fields: { do: 'codes', set: given('set') }, deed: deeds.codes };
    case 'remove': {
      const { factors } = await mfa.listFactors({}, as);
      const factor = factors.find(({ id }) => id === given('factor_id'));
      if (!factor) throw new Refusal('FACTOR_NOT_FOUND');
      const fields = { do: 'remove', factor_id: factor.id };
      return { ...action, fields, deed: deeds.remove(nameOf(words, factor)) };
    }
    default:
      throw new Refusal('INVALID_ARGUMENT');
  }
}

function nameOf({ factors }: Visit['words'], { friendlyName, type }: Factor): string {
  return friendlyName || factors.kinds[type]!;
}

async function factorsView(visit: Visit, signedIn: SignedIn, failure?: Failure): Promise<View> {
  const { words } = visit;
  const { title, text, empty, devices } = words.factors;
  const { factors } = await visit.mfa.listFactors({}, signedIn.as);
  const verified = factors.filter(({ verified, type }) => verified && type !== FactorType.RECOVERY_CODE);
  const items = await Promise.all(verified.map((each) => factorItem(visit, each)));
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure && alertBox(describeFactors(visit, failure))}
${linkToVerification(visit, '/factors', failure)}
${visit.values.get('codes') === 'created' ? alertBox(words.factors.codesCreated) : undefined}
<p>${text}</p>
${items.length === 0 ? html`<p><strong>${empty}</strong></p>` : html`<ul class="list">\n${joined(items)}</ul>`}
${verified.length === 0 ? undefined : await codesPart(visit, codesOf(factors))}
${await addPart(visit, verified.length === 0, failure)}
${await addKeyPart(visit, failure)}
${await passkeysPart(visit, signedIn)}
${link('/devices', devices)}`,
    hasCeremony: true,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

async function factorItem(visit: Visit, factor: Factor): Promise<Html> {
  const { kinds, lastUsed, neverUsed, remove } = visit.words.factors;
  const name = nameOf(visit.words, factor);
  const used = factor.lastUseTime ? html`${lastUsed} ${ago(factor.lastUseTime, visit.language, visit.now)}` : neverUsed;
  const button = html`<button class="quiet" aria-label="${remove}: ${name}">${remove}</button>`;
  return html`<li>
<p><strong>${name}</strong><br>
<span class="hint">${kinds[factor.type]} · ${used}</span></p>
${await ownForm(visit, '/factors', { do: 'remove', factor_id: factor.id }, button)}
</li>
`;
}

async function addPart(visit: Visit, isFirst: boolean, failure: Failure | undefined): Promise<Html> {
  const { add, addText, name, usualName, addButton } = visit.words.factors;
  const value = visit.values.get('name') ?? (isFirst ? usualName : '');
  const isRefused = failure?.reason === 'FACTOR_NAME_CONFLICT' && visit.values.has('name');
  const content = html`${labelled({ name: 'name', label: name, type: 'text', autocomplete: 'off', value, isRefused })}
<button>${addButton}</button>`;
  return html`<h2>${add}</h2>
<p class="hint">${addText}</p>
${await ownForm(visit, '/factors', { do: 'enroll' }, content)}`;
}

function describeFactors(visit: Visit, failure: Failure): string {
  const { refused } = visit.words.factors;
  return refused[failure.reason as keyof typeof refused] ?? describePasskey(visit, failure);
}
