import { renderSVG } from 'uqr';
import { escapeHtml } from '../../text/escape-html.ts';
import { ceremonyPath } from './ceremony.ts';
import { script } from './script.ts';
import type { PageStyle } from './style.ts';

/** Trusted markup. Text becomes a part of it only through `html`, which escapes it. */
export class Html {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** A template whose values are escaped unless they are markup. Undefined becomes an empty text. */
  static of(parts: TemplateStringsArray, ...values: readonly (string | Html | undefined)[]): Html {
    const texts = values.map((each) => (each instanceof Html ? each.text : escapeHtml(each ?? '')));
    return new Html(String.raw({ raw: parts }, ...texts));
  }

  // Neither is escaped: the browser compares it with the hash in the policy.
  static style({ sheet }: PageStyle): Html {
    return new Html(`<style>${sheet}</style>`);
  }

  /** An image without text of its own: a path of black squares. */
  static qrCode(text: string): Html {
    return new Html(renderSVG(text));
  }

  static readonly script = new Html(`<script>${script}</script>`);
}

export const html = Html.of;

export interface PageParts {
  readonly language: string;
  readonly style: PageStyle;
  readonly site: string;
  readonly title: string;
  /** The heading, if it differs from the title. */
  readonly heading?: string;
  readonly body: Html;
  /** Whether the page has the button that shows a password. Pages with a one-time value run no script. */
  readonly hasScript?: boolean | undefined;
  /** Whether an authenticator completes a form. */
  readonly hasCeremony?: boolean | undefined;
  /** Undefined where the address of the application is not known. */
  readonly back?: { readonly url: string; readonly text: string } | undefined;
  /** Where the browser goes at once. */
  readonly goTo?: string | undefined;
}

// With the no-referrer of the header, browsers would send `Origin: null` with the form. With strict-origin the path and
// the query, which has the token, do not leave the page either.
export function layOut(parts: PageParts): string {
  const { language, style, site, title, heading = title, body, hasScript, hasCeremony, back, goTo } = parts;
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="strict-origin">
<meta name="robots" content="noindex">${goTo && html`\n<meta http-equiv="refresh" content="0; url=${goTo}">`}
<title>${title} – ${site}</title>
${Html.style(style)}${style.ownSheet && html`\n<link rel="stylesheet" href="${style.ownSheet}">`}
</head>
<body>
<header>${style.logoUrl === undefined ? site : html`<img src="${style.logoUrl}" alt="${site}">`}</header>
<main>
<h1>${heading}</h1>
${body}
</main>${
    back &&
    html`
<nav><a href="${back.url}">${back.text}</a></nav>`
  }${hasScript ? html`\n${Html.script}` : undefined}${hasCeremony ? html`\n<script src="${ceremonyPath}"></script>` : undefined}
</body>
</html>
`.text;
}

export function paragraph(text: string): Html {
  return html`<p>${text}</p>`;
}

/** Screen readers read it out immediately. */
export function alertBox(text: string): Html {
  return html`<div class="alert" role="alert" id="problem"><p>${text}</p></div>`;
}

/** Several pieces of markup, one after the other. */
export function joined(pieces: readonly Html[]): Html {
  return pieces.reduce((all, each) => html`${all}${each}`, html``);
}

/** A form that posts to the path of its page, without the query, so that the token is in no further URL. */
export function form(path: string, token: string, fields: Html | undefined, button: string): Html {
  return html`<form method="post" action="${path}">
<input type="hidden" name="token" value="${token}">
${fields}
<button>${button}</button>
</form>`;
}
