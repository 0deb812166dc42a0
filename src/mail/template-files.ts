import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { MailKind } from './mail-messages.ts';

const everywhere = ['site', 'email', 'name'];
const withLink = [...everywhere, 'link', 'lifetime'];
const withTime = [...everywhere, 'time'];

/** The texts of mails with a code beside their link. */
export const textsWithCode = {
  magic_link: 'magic_code',
  verification: 'verification_code',
  password_reset: 'password_reset_code',
  email_change: 'email_change_code',
  email_change_approval: 'email_change_approval_code',
  invite: 'invite_code',
} as const satisfies Partial<Record<MailKind, string>>;

/** A mail with a code has a text of its own, and so has a new factor for which sessions were revoked. */
export type TextName = MailKind | (typeof textsWithCode)[keyof typeof textsWithCode] | 'factor_enrolled_sessions';

/** The placeholders that each text may have. */
export const placeholders: Readonly<Record<TextName, readonly string[]>> = {
  verification: [...withLink, 'reject_link'],
  password_reset: withLink,
  magic_link: withLink,
  magic_code: [...withLink, 'code'],
  verification_code: [...withLink, 'reject_link', 'code'],
  password_reset_code: [...withLink, 'code'],
  email_change_code: [...withLink, 'code'],
  email_change_approval: withLink,
  email_change_approval_code: [...withLink, 'code'],
  invite: withLink,
  invite_code: [...withLink, 'code'],
  reauthentication: [...everywhere, 'code', 'lifetime'],
  email_change: withLink,
  email_change_notice: everywhere,
  email_changed: withTime,
  password_changed: withTime,
  already_registered: everywhere,
  new_device: [...everywhere, 'time', 'address', 'device'],
  factor_enrolled: [...withTime, 'factor'],
  factor_enrolled_sessions: [...withTime, 'factor', 'sessions'],
  factor_removed: [...withTime, 'factor'],
  factors_reset: withTime,
  recovery_codes_created: withTime,
  recovery_code_used: [...withTime, 'address', 'device', 'remaining'],
  factor_failed: [...withTime, 'factor', 'address', 'device'],
  passkey_added: [...withTime, 'factor'],
  passkey_removed: [...withTime, 'factor'],
  key_copied: [...withTime, 'factor', 'address', 'device'],
  identity_linked: [...withTime, 'provider', 'identity'],
  identity_unlinked: [...withTime, 'provider', 'identity'],
  account_invite: [...everywhere, 'link', 'time', 'account', 'inviter'],
};

/** The placeholders that a text must have, if it may have them. */
export const needed = ['link', 'code'];

export interface Template {
  readonly subject: string;
  /** The text of the button for `{{link}}`. */
  readonly button: string;
  readonly text: string;
  /** Undefined: generated from the text. */
  readonly html: string | undefined;
}

/** The texts of a folder by `language/name`, and all that is wrong with them, each with its cure. */
export function readTemplates(folder: string): {
  readonly templates: ReadonlyMap<string, Template>;
  readonly faults: readonly string[];
} {
  const templates = new Map<string, Template>();
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    return { templates, faults: [`${folder} is not a directory: create it, or correct the path`] };
  const faults: string[] = [];
  for (const name of namesIn(folder)) {
    const { template, wrong } = readTemplate(path.join(folder, name));
    faults.push(...wrong.map((each) => `${name}${each}`));
    if (template) templates.set(name, template);
  }
  return { templates, faults };
}

function namesIn(folder: string): string[] {
  const languages = readdirSync(folder, { withFileTypes: true }).filter((each) => each.isDirectory());
  const names = languages.flatMap(({ name: language }) =>
    readdirSync(path.join(folder, language))
      .filter((each) => /\.(txt|html)$/.test(each))
      .map((each) => `${language}/${path.parse(each).name}`),
  );
  return [...new Set(names)].toSorted();
}

/** `base` is the path of the files without its ending. */
function readTemplate(base: string): { readonly template?: Template; readonly wrong: readonly string[] } {
  const known = placeholders[path.basename(base) as TextName];
  if (!known)
    return { wrong: [` is the name of no mail: rename it to one of ${Object.keys(placeholders).join(', ')}`] };
  if (!existsSync(`${base}.txt`)) return { wrong: ['.txt is missing beside the .html: add it'] };
  const parts = /^Subject: ([^\r\n]+)\r?\n(?:Button: ([^\r\n]+)\r?\n)?\r?\n(.+)$/s.exec(
    readFileSync(`${base}.txt`, 'utf8'),
  );
  const [whole, subject, button = subject, text] = parts ?? [];
  if (!whole || !subject || !button || !text)
    return { wrong: ['.txt lacks its head: begin it with a line "Subject: ..." and an empty line'] };
  const html = existsSync(`${base}.html`) ? readFileSync(`${base}.html`, 'utf8') : undefined;
  const wrong = [
    ...wrongIn(whole, text, known).map((each) => `.txt: ${each}`),
    ...(html === undefined ? [] : wrongIn(html, html, known).map((each) => `.html: ${each}`)),
  ];
  return { template: { subject, button, text, html }, wrong };
}

/** Unknown placeholders of a file, and those that are missing in its text. */
function wrongIn(whole: string, text: string, known: readonly string[]): string[] {
  const used = new Set([...whole.matchAll(/\{\{(.*?)\}\}/gs)].map(([, name]) => name!));
  const unknown = [...used].filter((name) => !known.includes(name));
  const missing = needed.filter((name) => known.includes(name) && !text.includes(`{{${name}}}`));
  return [
    ...unknown.map((name) => `{{${name}}} is unknown: use ${known.map((each) => `{{${each}}}`).join(', ')}`),
    ...missing.map((name) => `{{${name}}} is missing: add it, because the mail is useless without it`),
  ];
}
