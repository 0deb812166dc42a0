import type { Client } from '@connectrpc/connect';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { alertBox, form, type Html, html, paragraph } from './html.ts';
import type { Failure } from './trouble.ts';
import type { Deed, Words } from './words.ts';

/** Somebody at a page of ours. */
export interface Visit {
  readonly path: string;
  readonly site: string;
  readonly words: Words;
  /** Code points that a new password must have at least. */
  readonly passwordMinLength: number;
  /** Calls as if the browser called. */
  readonly auth: Client<typeof AuthService>;
  /** What stands in the link or, once it was sent, in the form. */
  readonly values: URLSearchParams;
}

/** What a page shows. */
export interface View {
  readonly status: number;
  readonly title: string;
  readonly body: Html;
  /** Whether it tells of an error. */
  readonly isError?: boolean;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
}

export interface Page {
  /** For GET, and HEAD: changes nothing, whoever opens the link ahead of its reader (scanners of mail, previews). */
  show(visit: Visit): Promise<View>;
  /** For POST: does what the form says. */
  act?(visit: Visit): Promise<View>;
}

export function tokenOf({ values }: Visit): string {
  return values.get('token') ?? '';
}

/** The form of a page, to be filled in or, after a failure that may pass, sent once more. */
export function formView(visit: Visit, deed: Deed, fields?: Html, failure?: Failure, problem?: string): View {
  const { path, site, words } = visit;
  const told = failure && (problem ?? tellTrouble(words, failure));
  return {
    status: failure?.status ?? 200,
    title: deed.title,
    body: html`${told === undefined ? paragraph(deed.text(site)) : alertBox(told)}
${form(path, tokenOf(visit), fields, deed.button)}`,
    isError: failure !== undefined,
    retryAfter: failure?.retryAfter,
  };
}

export function doneView({ doneTitle, done }: Deed): View {
  return { status: 200, title: doneTitle, body: html`<p role="status">${done}</p>` };
}

/** The end of the way: there is nothing on the page to try again. */
export function troubleView(words: Words, failure: Failure): View {
  const { title } = words.troubles[failure.trouble];
  const { status, retryAfter } = failure;
  return { status, title, body: alertBox(tellTrouble(words, failure)), isError: true, retryAfter };
}

/** Whether the same form may do later. */
export function mayPass({ trouble }: Failure): boolean {
  return trouble === 'limited' || trouble === 'failed';
}

function tellTrouble(words: Words, { trouble, retryAfter }: Failure): string {
  const { text } = words.troubles[trouble];
  return trouble === 'limited' && retryAfter !== undefined ? words.wait(retryAfter) : text;
}
