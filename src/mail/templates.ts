import path from 'node:path';
import { escapeHtml } from '../text/escape-html.ts';
import { button, code, layOutMail, type MailLook, paragraph, plainLink } from './layout.ts';
import type { MailKind } from './mail-messages.ts';
import { readTemplates, type Template, type TextName, textsWithCode } from './template-files.ts';

export interface RenderedMail {
  /** The name of the sender, if it is not the configured one. */
  readonly senderName?: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const ours = path.join(import.meta.dirname, 'templates');

/**
 * The texts of all mails, ours or the operator's. A text is a line `Subject: ...`, optionally a line `Button: ...` for the
 * link, an empty line and paragraphs. `{{name}}` is replaced by a value; a text has no other syntax.
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
    const [own, custom] = [readTemplates(ours), folder ? readTemplates(folder) : undefined];
    // The configuration was checked before, but the folder may have changed since.
    if (custom?.faults.length) throw new Error(`MAIL_TEMPLATES: ${custom.faults.join('; ')}`);
    return new Templates(new Map([...own.templates, ...(custom?.templates ?? [])]), locale, look);
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
      html: html ? fill(html, escaped) : this.#layOut(template, language, values, escaped),
      ...(variables.sender && { senderName: variables.sender }),
    };
  }

  #layOut(
    template: Template,
    language: string,
    { sender: name, accent, logo }: Readonly<Record<string, string>>,
    escaped: Readonly<Record<string, string>>,
  ): string {
    const { subject, text } = template;
    // A project may have a look of its own.
    const look = {
      name: name ?? this.#look.name,
      accent: accent ?? this.#look.accent,
      logoUrl: logo ?? this.#look.logoUrl,
    };
    const pieces = text.trim().split(/\r?\n\r?\n+/);
    const first = fill(escapeHtml(pieces[0]!), escaped);
    const parts = {
      language,
      subject: fill(subject, escaped),
      preheader: escaped.code ? `${escaped.code} – ${first}` : first,
      body: pieces.map((each) => pieceOf(each, template, escaped, look)).join('\n'),
    };
    return layOutMail(parts, look);
  }
}

/** A paragraph of the text as HTML: a link or a code that stands alone has a form of its own. */
function pieceOf(piece: string, template: Template, escaped: Readonly<Record<string, string>>, look: MailLook): string {
  const text = fill(escapeHtml(piece), escaped);
  if (piece === '{{link}}') return button(fill(escapeHtml(template.button), escaped), text, look.accent);
  if (piece === '{{reject_link}}') return plainLink(text);
  return piece === '{{code}}' ? code(text) : paragraph(text);
}

// These are no kinds of their own, because a replica of the previous version would not know them.
function textOf(kind: MailKind, { code, sessions }: Readonly<Record<string, string>>): TextName {
  if (kind === 'factor_enrolled' && sessions) return 'factor_enrolled_sessions';
  return code && kind in textsWithCode ? textsWithCode[kind as keyof typeof textsWithCode] : kind;
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
