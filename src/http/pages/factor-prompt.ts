import { FactorType, type UsableFactor } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { ChallengeFactorResponse } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionKind } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { ceremonyForm, credentialOf } from './ceremony-form.ts';
import { alertBox, type Html, html, joined } from './html.ts';
import {
  awaitsFactor,
  labelled,
  link,
  nextOf,
  ownForm,
  redirect,
  requireOwnForm,
  shownUser,
  wayTo,
} from './own-form.ts';
import { describePasskey } from './passkeys.ts';
import { type Pending, readPending, type SealedAction, takePending } from './pending-action.ts';
import { type Failure, readFailure } from './trouble.ts';
import { isToBeTrusted, trustBox } from './trusted-devices.ts';
import { noticeView, type Page, type View, type Visit } from './visit.ts';

/** What the user confirms: a sign-in, or an action. */
type Occasion = SealedAction | 'sign-in';

/**
 * The page that asks for a second factor: after a sign-in, or before an action that needs it. Users without factors enter their
 * password. Showing the page begins no attempt. `find` finds the page that performs the action.
 */
export function factorPrompt(find: (path: string) => Page | undefined): Page {
  return {
    async show(visit) {
      const { signedIn, occasion, instead } = await readOccasion(visit);
      return instead ?? promptView(visit, signedIn, occasion);
    },

    async act(visit) {
      const { signedIn, occasion, instead } = await readOccasion(visit);
      if (instead) return instead;
      try {
        await requireOwnForm(visit);
        const asked = visit.values.has('start') && (await challenge(visit, signedIn));
        if (asked) return await promptView(visit, signedIn, occasion, undefined, asked);
        await prove(visit, signedIn);
      } catch (thrown) {
        return promptView(visit, signedIn, occasion, readFailure(thrown));
      }
      if (occasion === 'sign-in') return redirect(nextOf(visit));
      if (!(await takePending(visit, signedIn, occasion))) return outdatedView(visit);
      return perform(visit, occasion, find(occasion.path)!);
    },
  };
}

type Read =
  | { readonly signedIn: SignedIn; readonly occasion: Occasion; readonly instead?: undefined }
  | { readonly signedIn?: undefined; readonly occasion?: undefined; readonly instead: View };

async function readOccasion(visit: Visit): Promise<Read> {
  const next = nextOf(visit);
  const signedIn = await visit.browser.signedIn();
  if (!signedIn) return { instead: wayTo(next, signedIn)! };
  if (visit.values.has('action')) {
    const pending = await readPending(visit, signedIn);
    return pending ? { signedIn, occasion: pending } : { instead: outdatedView(visit) };
  }
  if (awaitsFactor(signedIn)) return { signedIn, occasion: 'sign-in' };
  return { instead: wayTo(next, signedIn) ?? redirect(next) };
}

function outdatedView(visit: Visit): View {
  const { outdated, onward } = visit.words.factor;
  return { ...noticeView(outdated, link('/devices', onward)), status: 409 };
}

/** Proves the factor of the form or, for a user without factors, the password. */
async function prove(visit: Visit, { user, assurance, as }: SignedIn): Promise<void> {
  const { auth, browser, mfa, values } = visit;
  if (assurance.factors.length === 0) {
    const credentials = { email: user.email, password: values.get('password') ?? '' };
    const { tokens } = await auth.signIn({ ...credentials, kind: SessionKind.WEB });
    return browser.signIn(tokens!);
  }
  const factorId = values.get('factor') ?? '';
  const credential = credentialOf(visit);
  const { challengeId } = credential
    ? { challengeId: values.get('challenge_id') ?? '' }
    : await mfa.challengeFactor({ factorId }, as);
  const proof = credential
    ? ({ case: 'credential', value: credential } as const)
    : ({ case: 'code', value: (values.get('code') ?? '').replace(/\s/g, '') } as const);
  const trustDevice = isToBeTrusted(visit);
  const { tokens, trustedDeviceToken } = await mfa.verifyFactor({ factorId, challengeId, proof, trustDevice }, as);
  browser.keep(tokens!);
  if (trustedDeviceToken) browser.trustedDeviceToken = trustedDeviceToken;
}

/** Begins what an authenticator completes. The script of the page asks for it when the user has pressed the button. */
function challenge({ mfa, values }: Visit, { as }: SignedIn): Promise<ChallengeFactorResponse> {
  return mfa.challengeFactor({ factorId: values.get('factor') ?? '' }, as);
}

/** Sends the form again to the page that has refused it. */
async function perform(visit: Visit, { path, fields }: Pending, page: Page): Promise<View> {
  const values = new URLSearchParams(fields);
  values.set('form_token', await visit.browser.formToken(path));
  return page.act!({ ...visit, path, values });
}

async function promptView(
  visit: Visit,
  signedIn: SignedIn,
  occasion: Occasion,
  failure?: Failure,
  asked?: ChallengeFactorResponse,
): Promise<View> {
  const { title, confirming, signingIn, cancel } = visit.words.factor;
  const chosen = chosenFactor(visit, signedIn);
  const carried: Readonly<Record<string, string>> =
    occasion === 'sign-in' ? { next: nextOf(visit) } : { action: visit.values.get('action') ?? '' };
  const why =
    occasion === 'sign-in'
      ? html`<p>${signingIn(shownUser(visit, signedIn))}</p>`
      : html`<p>${confirming}<br><strong>${occasion.deed}</strong></p>`;
  const hidden = { ...carried, ...(chosen && { factor: chosen.id }) };
  const next = occasion === 'sign-in' ? nextOf(visit) : occasion.back;
  const trust = occasion === 'sign-in' ? trustBox(visit) : undefined;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure && alertBox(describeProof(visit, failure))}
${why}
${needsDevice(chosen) ? await deviceForm(visit, chosen, { hidden, asked, trust }) : await ownForm(visit, '/factor', hidden, questionOf(visit, chosen, { failure, trust }))}
${otherWays(visit, signedIn, chosen, carried)}
${occasion === 'sign-in' ? undefined : link(occasion.back, cancel)}
${await otherUser(visit, next)}`,
    hasCeremony: needsDevice(chosen),
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

const preferred = [FactorType.TOTP, FactorType.RECOVERY_CODE];

/** The factor that the user has chosen, or one that can be typed. Undefined for a user without factors. */
function chosenFactor({ values }: Visit, { assurance: { factors } }: SignedIn): UsableFactor | undefined {
  const chosen = factors.find(({ id }) => id === values.get('factor'));
  const typed = preferred.flatMap((type) => factors.filter((each) => each.type === type));
  return chosen ?? typed[0] ?? factors[0];
}

function needsDevice(factor: UsableFactor | undefined): factor is UsableFactor {
  return factor?.type === FactorType.WEBAUTHN || factor?.type === FactorType.PASSKEY;
}

interface DeviceQuestion {
  readonly hidden: Readonly<Record<string, string>>;
  readonly asked: ChallengeFactorResponse | undefined;
  readonly trust: Html | undefined;
}

async function deviceForm(
  visit: Visit,
  { type, friendlyName }: UsableFactor,
  { hidden, asked, trust }: DeviceQuestion,
): Promise<Html> {
  const { factor, passkeys } = visit.words;
  const form = await ceremonyForm(visit, {
    path: '/factor',
    kind: 'get',
    options: asked?.requestOptions,
    expires: asked?.expireTime,
    hidden: { ...hidden, challenge_id: asked?.challengeId ?? '' },
    content: html`${trust}<button autofocus>${factor.button}</button>`,
    isHidden: true,
  });
  return html`<p>${factor.ask[type]!(friendlyName)}</p>
${form}
<noscript><p class="hint">${passkeys.needsScript}</p></noscript>`;
}

function questionOf(
  { words }: Visit,
  factor: UsableFactor | undefined,
  { failure, trust }: { failure: Failure | undefined; trust: Html | undefined },
): Html {
  const { ask, askPassword, code, recoveryCode, password, button } = words.factor;
  const text = factor ? ask[factor.type]!(factor.friendlyName) : askPassword;
  const common = { hasFocus: true, isRefused: failure !== undefined };
  const field = !factor
    ? labelled({ ...common, name: 'password', label: password, type: 'password', autocomplete: 'current-password' })
    : factor.type === FactorType.RECOVERY_CODE
      ? labelled({ ...common, name: 'code', label: recoveryCode, type: 'text', autocomplete: 'off' })
      : labelled({
          ...common,
          name: 'code',
          label: code,
          type: 'text',
          autocomplete: 'one-time-code',
          isNumeric: true,
        });
  return html`<p>${text}</p>
${field}${trust}<button>${button}</button>`;
}

/** Links, so that a reload keeps the choice. */
function otherWays(
  { words }: Visit,
  { assurance: { factors } }: SignedIn,
  chosen: UsableFactor | undefined,
  carried: Readonly<Record<string, string>>,
): Html | undefined {
  const { choose } = words.factor;
  const others = factors.filter(({ id }) => id !== chosen?.id);
  return joined(
    others.map(({ id, type, friendlyName }) =>
      link(`/factor?${new URLSearchParams({ ...carried, factor: id })}`, choose[type]!(friendlyName)),
    ),
  );
}

/** Signs out, so that nothing comes of a sign-in that was not completed. */
function otherUser(visit: Visit, next: string): Promise<Html> {
  const button = html`<button class="quiet">${visit.words.decision.otherUser}</button>`;
  return ownForm(visit, '/sign-out', { next }, button);
}

function describeProof(visit: Visit, failure: Failure): string {
  const { refused, deviceRefused } = visit.words.factor;
  // The response of an authenticator, not a code.
  if (failure.reason === 'MFA_VERIFICATION_FAILED' && failure.metadata.check) return deviceRefused;
  return refused[failure.reason as keyof typeof refused] ?? describePasskey(visit, failure);
}
