import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { escapeHtml } from '../text/escape-html.ts';
import { button, code, layOutMail, type MailLook, paragraph, plainLink } from './layout.ts';
import type { MailKind } from './mail-messages.ts';

const everywhere = ['site', 'email', 'name'];
const withLink = [...everywhere, 'link', 'lifetime'];
const withTime = [...everywhere, 'time'];

/** A mail with a code beside its link has a text of its own. */
type TextName = MailKind | (typeof textsWithCode)[keyof typeof textsWithCode];

const textsWithCode = {
  magic_link: 'magic_code',
  verification: 'verification_code',
  password_reset: 'password_reset_code',
  email_change: 'email_change_code',
  email_change_approval: 'email_change_approval_code',
  invite: 'invite_code',
} as const satisfies Partial<Record<MailKind, string>>;

/** The mail of each text that has a code beside its link. */
export const kindsWithCode: ReadonlyMap<string, MailKind> = new Map(
  Object.entries(textsWithCode).map(([kind, name]) => [name, kind as MailKind]),
);

/** The placeholders that each text may have. */
const placeholders: Readonly<Record<TextName, readonly string[]>> = {
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
  account_invite: [...everywhere, 'link', 'time', 'account', 'inviter'],
};

interface Template {
  readonly subject: string;
  /** The text of the button for `{{link}}`. */
  readonly button: string;
  readonly text: string;
  /** Undefined: generated from the text. */
  readonly html: string | undefined;
}

export interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const ours = path.join(import.meta.dirname, 'templates');

/** An operator's text that cannot be used. The replica does not start. */
export class TemplateFault extends Error {
  override name = 'TemplateFault';
}

/**
 * The texts of all mails, ours or the operator's. A text is a line `Subject: ...`, optionally a line `Button: ...` for the
 * link, an empty line and paragraphs. `{{name}}` is replaced by a value; a text has no other syntax. Throws TemplateFault.
 */
export class Templates {
  readonly #templates: ReadonlyMap<string, Template>;
  readonly #locale: string;
  readonly #look: MailLook;

  private constructor(templates: ReadonlyMap<string, Template>, locale: string, look: MailLook) {
    this.#templates = templates;
    this.#locale = locale;
    this.#look = look;
  }

  /** `locale` is used for users who have chosen no language, or one without texts. */
  static load(locale: string, look: MailLook, folder?: string): Templates {
    if (folder && !existsSync(folder)) throw new TemplateFault(`MAIL_TEMPLATES names ${folder}, which does not exist`);
    return new Templates(new Map([...readFolder(ours), ...(folder ? readFolder(folder) : [])]), locale, look);
  }

  /** All texts, by language. */
  names(): { readonly language: string; readonly name: TextName }[] {
    return [...this.#templates.keys()].map((each) => {
      const [language = '', name] = each.split('/');
      return { language, name: name as TextName };
    });
  }

  render(kind: MailKind, locale: string, variables: Readonly<Record<string, string>>): RenderedMail {
    const wanted = locale.toLowerCase().split(/[-_]/, 1)[0]!;
    const name = textOf(kind, variables);
    const language = this.#templates.has(`${wanted}/${name}`) ? wanted : this.#locale;
    const template = this.#templates.get(`${language}/${name}`)!;
    const { subject, text, html } = template;
    const values = inWords(variables, language);
    const escaped = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, escapeHtml(value)]));
    return {
      // Attack: a line break in a value would begin a header.
      subject: fill(subject, values).replace(/\p{Cc}+/gu, ' '),
      text: fill(text, values),
      html: html ? fill(html, escaped) : this.#layOut(template, language, escaped),
    };
  }

  #layOut(template: Template, language: string, escaped: Readonly<Record<string, string>>): string {
    const { subject, text } = template;
    const pieces = text.trim().split(/\r?\n\r?\n+/);
    const first = fill(escapeHtml(pieces[0]!), escaped);
    const parts = {
      language,
      subject: fill(subject, escaped),
      preheader: escaped.code ? `${escaped.code} – ${first}` : first,
      body: pieces.map((each) => pieceOf(each, template, escaped, this.#look)).join('\n'),
    };
    return layOutMail(parts, this.#look);
  }
}

/** A paragraph of the text as HTML: a link or a code that stands alone has a form of its own. */
function pieceOf(piece: string, template: Template, escaped: Readonly<Record<string, string>>, look: MailLook): string {
  const text = fill(escapeHtml(piece), escaped);
  if (piece === '{{link}}') return button(fill(escapeHtml(template.button), escaped), text, look.accent);
  if (piece === '{{reject_link}}') return plainLink(text);
  return piece === '{{code}}' ? code(text) : paragraph(text);
}

// Not a kind of its own, because a replica of the previous version would not know it.
function textOf(kind: MailKind, { code }: Readonly<Record<string, string>>): TextName {
  return code && kind in textsWithCode ? textsWithCode[kind as keyof typeof textsWithCode] : kind;
}

function readFolder(folder: string): [string, Template][] {
  const languages = readdirSync(folder, { withFileTypes: true }).filter((each) => each.isDirectory());
  return languages.flatMap(({ name: language }) => {
    const files = readdirSync(path.join(folder, language)).filter((each) => /\.(txt|html)$/.test(each));
    const kinds = new Set(files.map((each) => path.parse(each).name));
    return [...kinds].map((kind): [string, Template] => [
      `${language}/${kind}`,
      readTemplate(path.join(folder, language, kind)),
    ]);
  });
}

function readTemplate(base: string): Template {
  const known = placeholders[path.basename(base) as TextName];
  if (!known)
    throw new TemplateFault(
      `${base}: there is no mail of that name; the names are ${Object.keys(placeholders).join(', ')}`,
    );
  if (!existsSync(`${base}.txt`)) throw new TemplateFault(`${base}.txt is missing beside ${base}.html`);
  const parts = /^Subject: ([^\r\n]+)\r?\n(?:Button: ([^\r\n]+)\r?\n)?\r?\n(.+)$/s.exec(
    readFileSync(`${base}.txt`, 'utf8'),
  );
  const [, subject, label = subject, text] = parts ?? [];
  if (!subject || !label || !text)
    throw new TemplateFault(`${base}.txt does not begin with a line "Subject: ..." and an empty one`);
  const html = existsSync(`${base}.html`) ? readFileSync(`${base}.html`, 'utf8') : undefined;
  for (const each of [subject, label, text, html ?? '']) refuseUnknown(base, each, known);
  for (const each of [text, ...(html === undefined ? [] : [html])]) refuseMissing(base, each, known);
  return { subject, button: label, text, html };
}

function refuseMissing(base: string, text: string, known: readonly string[]): void {
  const missing = ['link', 'code'].find((name) => known.includes(name) && !text.includes(`{{${name}}}`));
  if (missing) throw new TemplateFault(`${base}: {{${missing}}} is missing`);
}

function refuseUnknown(base: string, text: string, known: readonly string[]): void {
  const unknown = [...text.matchAll(/\{\{(.*?)\}\}/gs)].map(([, name]) => name!).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new TemplateFault(`${base}: {{${unknown}}} is unknown; the placeholders are ${known.join(', ')}`);
}

/** In one pass, so that placeholders in a value are not replaced. */
function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name] ?? '');
}

function inWords(variables: Readonly<Record<string, string>>, language: string): Record<string, string> {
  const { lifetime, time, ...rest } = variables;
  return {
    ...rest,
    ...(lifetime && { lifetime: durationInWords(Number(lifetime), language) }),
    ...(time && { time: timeInWords(time, language) }),
  };
}

function durationInWords(seconds: number, language: string): string {
  const [unit, size] =
    seconds % 3600 === 0
      ? (['hour', 3600] as const)
      : seconds % 60 === 0
        ? (['minute', 60] as const)
        : (['second', 1] as const);
  return formatsOf(language)[unit].format(seconds / size);
}

function timeInWords(time: string, language: string): string {
  return `${formatsOf(language).time.format(new Date(time))} UTC`;
}

const formats = new Map<string, ReturnType<typeof createFormats>>();

/** Kept, because it takes ten times as long to create a format as to render a mail. */
function formatsOf(language: string) {
  const known = formats.get(language) ?? createFormats(language);
  formats.set(language, known);
  return known;
}

function createFormats(language: string) {
  const duration = (unit: string) => new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' });
  const time = new Intl.DateTimeFormat(language, { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });
  return { hour: duration('hour'), minute: duration('minute'), second: duration('second'), time };
}
