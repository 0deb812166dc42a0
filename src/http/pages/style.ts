import { createHash } from 'node:crypto';
import { onColor } from '../../text/color.ts';
import { ceremonyPath } from './ceremony.ts';
import { script } from './script.ts';

/** The style sheet of all pages. Sizes in rem follow the reader's settings; phones zoom into inputs below 16 px. */
const sheet = `
:root { color-scheme: light dark; --back: #f4f5f7; --card: #fff; --text: #1b1f24; --faint: #57606a; --edge: #8a929b;
  --accent: #0b57d0; --button: #0b57d0; --on-button: #fff; --bad: #b3261e; --bad-back: #fdeceb;
  --good: #146c2e; --good-back: #e6f4ea; }
@media (prefers-color-scheme: dark) {
  :root { --back: #101317; --card: #191d23; --text: #e8eaed; --faint: #a4adb8; --edge: #6b7682;
    --accent: #a8c7fa; --button: #a8c7fa; --on-button: #062e6f; --bad: #ffb4ab; --bad-back: #3b1614;
    --good: #81c995; --good-back: #12301c; }
}
* { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; background: var(--back); color: var(--text); }
body { margin: 0 auto; max-width: 30rem; padding: 1.5rem 1rem; overflow-wrap: anywhere; }
header img { display: block; height: 32px; width: auto; }
header { color: var(--faint); margin: 0 0 .75rem; padding: 0 .25rem; font-size: .9375rem; }
main { background: var(--card); border: 1px solid color-mix(in srgb, var(--edge) 35%, transparent); border-radius: .75rem; padding: 1.5rem 1.25rem; }
h2 { font-size: 1.125rem; margin: 1.5rem 0 0; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; hyphens: auto; }
p { margin: 0 0 1rem; }
main > :last-child, form > :last-child, .alert > :last-child, .good > :last-child { margin-bottom: 0; }
label { display: block; font-weight: 600; margin: 0 0 .375rem; }
input { display: block; width: 100%; font: inherit; font-size: max(1rem, 16px); color: inherit; background: transparent;
  border: 1px solid var(--edge); border-radius: .5rem; padding: .625rem .75rem; margin: 0 0 .5rem; min-height: 2.75rem; }
input[readonly] { border: 0; border-radius: .125rem; padding: 0; margin: 0 0 1rem; min-height: 0; }
input[aria-invalid] { border-color: var(--bad); border-width: 2px; }
.hint { color: var(--faint); font-size: .9375rem; }
button { width: 100%; font: inherit; font-size: max(1rem, 16px); font-weight: 600; color: var(--on-button); background: var(--button);
  border: 1px solid transparent; border-radius: .5rem; padding: .625rem 1rem; min-height: 2.75rem; cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.good { background: var(--good-back); color: var(--good); border-left: .25rem solid var(--good); border-radius: .25rem; padding: .75rem; margin: 0 0 1rem; }
.way { margin: 1rem 0 0; }
.choice { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
.number { font-size: 1.75rem; letter-spacing: .15em; }
dl { margin: 0 0 1rem; }
dl div { padding: .375rem 0; border-bottom: 1px solid color-mix(in srgb, var(--edge) 35%, transparent); }
dt { color: var(--faint); font-size: .9375rem; }
dd { margin: 0; }
fieldset { border: 1px solid var(--edge); border-radius: .5rem; margin: 0 0 1rem; padding: .75rem; }
legend { font-weight: 600; float: left; width: 100%; padding: 0; margin: 0 0 .5rem; }
legend + * { clear: both; }
.option { font-weight: 400; display: flex; gap: .5rem; align-items: center; min-height: 2.75rem; margin: 0; }
.option input { width: auto; margin: 0; min-height: 0; }
.list { list-style: none; margin: 0 0 1rem; padding: 0; }
.list li { padding: .75rem 0; border-bottom: 1px solid color-mix(in srgb, var(--edge) 35%, transparent); }
.list p { margin: 0 0 .5rem; }
.tag { color: var(--good); font-size: .9375rem; }
.quiet, .show { width: auto; color: var(--accent); background: transparent; border-color: var(--edge); }
.providers { display: grid; gap: .75rem; margin: 1rem 0 0; }
.provider { width: 100%; }
.show { min-height: 2.25rem; padding: .25rem .75rem; margin: 0 0 1rem; font-weight: 400; }
form + form, .way + form, noscript + form { margin: 1rem 0 0; }
.option + button { margin-top: .5rem; }
.qr { background: #fff; border-radius: .5rem; max-width: 15rem; margin: 0 auto 1rem; overflow: hidden; }
.qr svg { display: block; width: 100%; }
.key, .codes { font-family: ui-monospace, monospace; }
.codes { list-style: none; margin: 0 0 1rem; padding: 0; font-size: 1.0625rem; line-height: 1.75; }
@media print { button, .way, nav { display: none; } }
nav { margin: 1rem 0 0; padding: 0 .25rem; }
a { color: var(--accent); }
.alert { background: var(--bad-back); color: var(--bad); border-left: .25rem solid var(--bad); border-radius: .25rem; padding: .75rem; margin: 0 0 1rem; }
`;

/** What the settings say of the look. */
export interface Look {
  readonly name: string;
  /** Where the pages lead back to. */
  readonly appUrl: string | undefined;
  readonly logoUrl: string | undefined;
  /** `#rrggbb`. */
  readonly accent: string;
}

/** The scripts of a page. */
export interface ScriptNeeds {
  readonly hasScript: boolean;
  readonly hasCeremony: boolean;
}

/** How the pages of one service look. */
export interface PageStyle {
  readonly sheet: string;
  /** The path of the operator's own, which follows. */
  readonly ownSheet: string | undefined;
  readonly logoUrl: string | undefined;
  /**
   * The content security policy. It permits a page only these style sheets, the logo, a form that posts to the same origin
   * and, where the page needs it, the script.
   */
  policy(needs: ScriptNeeds): string;
}

const usualAccent = '#0b57d0';

export function openStyle({ accent, logoUrl }: Look, origin: string, ownSheet?: string): PageStyle {
  // Links keep their color, which is legible on both backgrounds.
  const own =
    accent === usualAccent
      ? ''
      : `:root { --button: ${accent} !important; --on-button: ${onColor(accent)} !important; }\n`;
  const text = sheet + own;
  const directives = [
    "default-src 'none'",
    `style-src 'sha256-${digestOf(text)}'${ownSheet === undefined ? '' : ` ${origin}${ownSheet}`}`,
    ...(logoUrl === undefined ? [] : [`img-src ${new URL(logoUrl).origin}`]),
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    sheet: text,
    ownSheet,
    logoUrl,
    policy: ({ hasScript, hasCeremony }) => {
      const inline = hasScript ? [`'sha256-${digestOf(script)}'`] : [];
      const sources = hasCeremony ? [...inline, `${origin}${ceremonyPath}`] : inline;
      const scripts = sources.length === 0 ? [] : [`script-src ${sources.join(' ')}`];
      // The script fetches new options from the page that it is on.
      return [...directives, ...scripts, ...(hasCeremony ? [`connect-src ${origin}`] : [])].join('; ');
    },
  };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
