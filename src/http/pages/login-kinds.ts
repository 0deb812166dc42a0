import { CliGuestState, GuestDisposition } from '../../../gen/gatehouse/v1/cli_login_pb.ts';
import { DeviceCredential } from '../../../gen/gatehouse/v1/device_grant_pb.ts';
import { type Asked, decisionPage, describeDecision, type LoginKind, unknownCode } from './decision.ts';
import { alertBox, type Html, html } from './html.ts';
import { labelled, onTheWay, ownForm, redirect, requireOwnForm } from './own-form.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { Page, View, Visit } from './visit.ts';

/** A device without a browser displays a code, which the user types here (RFC 8628, section 3.3). */
export const deviceLogin = decisionPage({
  field: 'user_code',
  ask: async ({ devices }, userCode, { as }): Promise<Asked> => {
    const { requester, userCode: code, credential, scopes } = await devices.getDeviceCode({ userCode }, as);
    const isSession = credential === DeviceCredential.SESSION;
    return { requester: requester!, code, grant: isSession ? 'session' : 'apiKey', scopes };
  },
  approve: ({ devices }, userCode, { as }) => devices.approveDevice({ userCode }, as),
  deny: ({ devices }, userCode, { as }) => devices.denyDevice({ userCode }, as),
  enterCode,
});

/** A program with a signed link, bound to the fingerprint of its machine. */
export const fingerprintLogin = decisionPage({
  field: 'auth_code',
  ask: async ({ devices }, authCode, { as }) => {
    const { requester } = await devices.getFingerprintLogin({ authCode }, as);
    return { requester: requester! };
  },
  approve: ({ devices }, authCode, { as }) => devices.confirmFingerprintLogin({ authCode }, as),
  deny: ({ devices }, authCode, { as }) => devices.denyFingerprintLogin({ authCode }, as),
});

const cliKind: LoginKind = {
  field: 'login_code',
  async ask({ devices, words }, loginCode, { as, user }): Promise<Asked> {
    const { requester, guestState } = await devices.checkCliLogin({ loginCode }, as);
    const isAsked = guestState === CliGuestState.ANONYMOUS && !user.isAnonymous;
    return { requester: requester!, questions: isAsked ? guestQuestion(words.guest) : undefined };
  },
  approve: ({ devices, values }, loginCode, { as }) => {
    const guestDisposition = values.get('guest') === 'keep' ? GuestDisposition.KEEP : GuestDisposition.MERGE;
    return devices.completeCliLogin({ loginCode, guestDisposition }, as);
  },
  deny: ({ devices }, loginCode, { as }) => devices.denyCliLogin({ loginCode }, as),
  welcome: guestWelcome,
};

const cliDecision = decisionPage(cliKind);

/** A program that may be signed in as a guest. The guest may register here, and keeps what they have. */
export const cliLogin: Page = {
  show: cliDecision.show,

  async act(visit) {
    if (visit.values.get('decision') !== 'claim') return cliDecision.act!(visit);
    const loginCode = visit.values.get('login_code') ?? '';
    try {
      await requireOwnForm(visit);
      const { tokens } = await visit.devices.claimCliGuest({ loginCode });
      await visit.browser.signIn(tokens!);
    } catch (thrown) {
      return unknownCode(visit, cliKind, readFailure(thrown));
    }
    return redirect(onTheWay('/register', `/cli?${new URLSearchParams({ login_code: loginCode })}`));
  },
};

/** Undefined without a guest: the page that signs in comes next. */
async function guestWelcome(visit: Visit, loginCode: string): Promise<View | undefined> {
  const { guestState } = await visit.devices.checkCliLogin({ loginCode });
  if (guestState !== CliGuestState.ANONYMOUS) return undefined;
  const { title, text, register, signIn } = visit.words.guest.welcome;
  const claim = html`<button name="decision" value="claim">${register}</button>`;
  const next = `/cli?${new URLSearchParams({ login_code: loginCode })}`;
  return {
    status: 200,
    title,
    body: html`<p>${text}</p>
${await ownForm(visit, '/cli', { login_code: loginCode }, claim)}
<p class="way"><a href="${onTheWay('/sign-in', next)}">${signIn}</a></p>`,
  };
}

function guestQuestion({ question, merge, keep }: Visit['words']['guest']): Html {
  return html`<fieldset>
<legend>${question}</legend>
<label class="option"><input type="radio" name="guest" value="merge" required> ${merge}</label>
<label class="option"><input type="radio" name="guest" value="keep"> ${keep}</label>
</fieldset>`;
}

function enterCode(visit: Visit, failure?: Failure): View {
  const { title, text, label, hint, button } = visit.words.enterCode;
  const value = visit.values.get('user_code') ?? '';
  const field = { name: 'user_code', label, type: 'text', autocomplete: 'off', hint, hasFocus: true } as const;
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure ? alertBox(describeDecision(visit, failure)) : html`<p>${text}</p>`}
<form method="get" action="${visit.path}">
${labelled({ ...field, value, isRefused: failure !== undefined })}
<button>${button}</button>
</form>`,
    isError: failure !== undefined,
  };
}
