import type { Client } from '@connectrpc/connect';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import type { DeviceService } from '../../../gen/gatehouse/v1/device_pb.ts';
import type { MfaService } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import type { SessionService } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { BrowserSession } from './browser-session.ts';
import { alertBox, form, type Html, html, paragraph } from './html.ts';
import type { Language } from './language.ts';
import type { Notice } from './notice.ts';
import type { Failure } from './trouble.ts';
import type { Deed, Words } from './words.ts';

/** One request for a page. */
export interface Visit {
  readonly path: string;
  /** PUBLIC_URL. */
  readonly publicUrl: string;
  readonly userAgent: string;
  readonly site: string;
  readonly words: Words;
  /** Minimum number of code points of a new password. */
  readonly passwordMinLength: number;
  /** Whether a registration needs an invite code. */
  readonly requiresInviteCode: boolean;
  /** How long a device can be trusted. Undefined: not at all. */
  readonly trustedDeviceDays: number | undefined;
  readonly now: Date;
  readonly language: Language;
  readonly browser: BrowserSession;
  /** Takes a confirmed action. Returns true for one of all calls with its id, on whichever replica. */
  readonly claimAction: (action: {
    readonly id: string;
    readonly userId: string;
    readonly expiresAt: Date;
  }) => Promise<boolean>;
  // The services, called with the origin of the browser's request.
  readonly auth: Client<typeof AuthService>;
  readonly sessions: Client<typeof SessionService>;
  readonly devices: Client<typeof DeviceService>;
  readonly mfa: Client<typeof MfaService>;
  /** The values of the link or, after a POST, of the form. */
  readonly values: URLSearchParams;
}

/** What a page shows. */
export interface View {
  readonly status: number;
  readonly title: string;
  readonly body: Html;
  readonly hasScript?: boolean;
  /** Whether the page has a form that an authenticator completes. */
  readonly hasCeremony?: boolean;
  /** Whether the page shows an error. */
  readonly isError?: boolean;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  /** The page of this service to show instead. */
  readonly location?: string;
  /** A page of another site that the browser goes to from this one. */
  readonly goTo?: string;
}

export interface Page {
  /** For GET and HEAD. Changes nothing: virus scanners and link previews open links before their reader. */
  show(visit: Visit): Promise<View>;
  /** For POST. Performs the action of the form. */
  act?(visit: Visit): Promise<View>;
  /** For a page that another site leads back to, with GET or POST, which uses up what the link or the form contains. */
  return?(visit: Visit, method: 'GET' | 'POST'): Promise<View>;
}

export function tokenOf({ values }: Visit): string {
  return values.get('token') ?? '';
}

/** The form of a page, empty or, after a failure that can pass, to be sent again. */
export function formView(visit: Visit, deed: Deed, fields?: Html, failure?: Failure, problem?: string): View {
  const { path, site, words } = visit;
  const alert = failure && (problem ?? describeTrouble(words, failure));
  return {
    status: failure?.status ?? 200,
    title: deed.title,
    body: html`${alert === undefined ? paragraph(deed.text(site)) : alertBox(alert)}
${form(path, tokenOf(visit), fields, deed.button)}`,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

export function doneView({ doneTitle, done }: Deed, onward?: Html): View {
  return noticeView({ title: doneTitle, text: done }, onward);
}

/** A page that reports a success, and where it leads on. */
export function noticeView({ title, text }: Notice, onward?: Html): View {
  return { status: 200, title, body: html`<div class="good" role="status"><p>${text}</p></div>\n${onward}` };
}

/** A page that shows an error and has no form. */
export function troubleView(words: Words, failure: Failure): View {
  const { title } = words.troubles[failure.trouble];
  const { status, retryAfter } = failure;
  return { status, title, body: alertBox(describeTrouble(words, failure)), isError: true, retryAfter };
}

/** Whether the same form can succeed later. */
export function mayPass({ trouble }: Failure): boolean {
  return trouble === 'limited' || trouble === 'failed';
}

export function describeTrouble(words: Words, { trouble, retryAfter }: Failure): string {
  const { text } = words.troubles[trouble];
  return trouble === 'limited' && retryAfter !== undefined ? words.wait(retryAfter) : text;
}
