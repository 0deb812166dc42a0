import type { LoginRequester } from '../../../gen/gatehouse/v1/login_pb.ts';
import type { SignedIn } from './browser-session.ts';
import { alertBox, type Html, html, joined } from './html.ts';
import { ownForm, requireOwnForm, shownUser, wayTo } from './own-form.ts';
import { type Pending, proofFor } from './pending-action.ts';
import { ago } from './times.ts';
import { type Failure, readFailure } from './trouble.ts';
import { linkToVerification } from './verification.ts';
import { describeTrouble, noticeView, type Page, type View, type Visit } from './visit.ts';

/** The login that a page asks about. */
export interface Asked {
  readonly requester: LoginRequester;
  /** The code to compare with the one on the device, where the user may have typed it. */
  readonly code?: string;
  /** What the device asks for. Default: a session. */
  readonly grant?: 'session' | 'apiKey';
  /** The scopes of the API key. Empty: all. */
  readonly scopes?: readonly string[];
  /** Further questions, as parts of the form. */
  readonly questions?: Html | undefined;
}

/** What differs between the logins that a user decides. */
export interface LoginKind {
  /** The field of the link and of the form that has the code. */
  readonly field: 'user_code' | 'login_code' | 'auth_code';
  ask(visit: Visit, code: string, signedIn: SignedIn): Promise<Asked>;
  approve(visit: Visit, code: string, signedIn: SignedIn): Promise<unknown>;
  deny(visit: Visit, code: string, signedIn: SignedIn): Promise<unknown>;
  /** For a link without a code. */
  enterCode?(visit: Visit, failure?: Failure): View;
  /** For a browser that is not signed in. Default: the page that signs in. */
  welcome?(visit: Visit, code: string): Promise<View | undefined>;
}

/**
 * A page on which a signed-in user approves or denies a login that another device has started. Opening it decides nothing.
 * It shows all that the service knows of the device: an attacker may have started the login and sent the link to somebody.
 */
export function decisionPage(kind: LoginKind): Page {
  return {
    async show(visit) {
      const code = visit.values.get(kind.field)?.trim() ?? '';
      if (code === '') return kind.enterCode?.(visit) ?? incomplete(visit);
      const signedIn = await visit.browser.signedIn();
      const way = wayTo(linkOf(visit, kind, code), signedIn);
      if (signedIn) return way ?? decideView(visit, kind, code, signedIn);
      return (await welcomeView(visit, kind, code)) ?? way!;
    },

    async act(visit) {
      const code = visit.values.get(kind.field) ?? '';
      const signedIn = await visit.browser.signedIn();
      if (!signedIn) return wayTo(linkOf(visit, kind, code), signedIn)!;
      const isApproved = visit.values.get('decision') === 'approve';
      try {
        await requireOwnForm(visit);
        await (isApproved ? kind.approve(visit, code, signedIn) : kind.deny(visit, code, signedIn));
        return noticeView(isApproved ? visit.words.decision.approved : visit.words.decision.denied);
      } catch (thrown) {
        const failure = readFailure(thrown);
        const proof = isApproved && (await proofFor(visit, failure, () => approvalOf(visit, kind, code, signedIn)));
        return proof || decideView(visit, kind, code, signedIn, failure);
      }
    },
  };
}

async function welcomeView(visit: Visit, kind: LoginKind, code: string): Promise<View | undefined> {
  try {
    return await kind.welcome?.(visit, code);
  } catch (thrown) {
    return unknownCode(visit, kind, readFailure(thrown));
  }
}

/** The approval, for a user who has to prove who they are first. */
async function approvalOf(visit: Visit, kind: LoginKind, code: string, signedIn: SignedIn): Promise<Pending> {
  const { requester, code: shownCode } = await kind.ask(visit, code, signedIn);
  const { clientName, deviceName, userAgent, comparisonNumber } = requester;
  const name = clientName || deviceName || userAgent || visit.words.decision.unnamed;
  const shown = [name, shownCode, comparisonNumber].filter(Boolean).join(', ');
  const guest = visit.values.get('guest');
  return {
    path: visit.path,
    fields: { [kind.field]: code, decision: 'approve', ...(guest && { guest }) },
    deed: visit.words.factor.deeds.approve(shown),
    back: linkOf(visit, kind, code),
  };
}

function linkOf({ path }: Visit, { field }: LoginKind, code: string): string {
  return `${path}?${new URLSearchParams({ [field]: code })}`;
}

async function decideView(visit: Visit, kind: LoginKind, code: string, signedIn: SignedIn, failure?: Failure) {
  const { words, path } = visit;
  let asked: Asked;
  try {
    asked = await kind.ask(visit, code, signedIn);
  } catch (thrown) {
    return unknownCode(visit, kind, readFailure(thrown));
  }
  const { title, text, approve, deny, warning, signedInAs, otherUser } = words.decision;
  const buttons = html`${asked.questions}
<div class="choice">
<button name="decision" value="approve">${approve}</button>
<button name="decision" value="deny" formnovalidate>${deny}</button>
</div>`;
  const next = linkOf(visit, kind, code);
  return {
    status: failure?.status ?? 200,
    title,
    body: html`${failure && alertBox(describeDecision(visit, failure))}
${linkToVerification(visit, next, failure)}
<p>${text(visit.site)}</p>
${facts(visit, asked)}
<p>${warning}</p>
${await ownForm(visit, path, { [kind.field]: code }, buttons)}
<p class="way">${signedInAs(shownUser(visit, signedIn))} <a href="/sign-out?next=${encodeURIComponent(next)}">${otherUser}</a></p>`,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

function facts({ words, language, now }: Visit, { requester, code, grant = 'session', scopes = [] }: Asked): Html {
  const { labels, unnamed, grants } = words.decision;
  const { clientName, deviceName, userAgent, address, createTime, comparisonNumber } = requester;
  const rows: [string, string | Html | undefined][] = [
    [labels.number, comparisonNumber && html`<strong class="number">${comparisonNumber}</strong>`],
    [labels.code, code && html`<strong>${code}</strong>`],
    [labels.client, clientName || unnamed],
    [labels.device, deviceName || userAgent || unnamed],
    [labels.address, address],
    [labels.grant, [grants[grant], ...scopes].join(', ')],
    [labels.started, createTime && ago(createTime, language, now)],
  ];
  const shown = rows.filter(([, value]) => value !== undefined && value !== '');
  return html`<dl>
${joined(shown.map(([label, value]) => html`<div><dt>${label}</dt><dd>${value}</dd></div>\n`))}</dl>`;
}

/** The page of a code that cannot be decided. */
export function unknownCode(visit: Visit, kind: LoginKind, failure: Failure): View {
  if (kind.enterCode && failure.status !== 429) return kind.enterCode(visit, failure);
  const { title } = visit.words.decision.unknown;
  return {
    status: failure.status,
    title,
    body: alertBox(describeDecision(visit, failure)),
    isError: true,
    retryAfter: failure.retryAfter,
  };
}

function incomplete({ words }: Visit): View {
  const { title, text } = words.troubles.incomplete;
  return { status: 400, title, body: alertBox(text), isError: true };
}

/** Why a login could not be decided. */
export function describeDecision({ words }: Visit, failure: Failure): string {
  const { refused } = words.decision;
  return refused[failure.reason as keyof typeof refused] ?? describeTrouble(words, failure);
}
