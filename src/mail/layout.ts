import { onColor } from '../text/color.ts';
import { escapeHtml } from '../text/escape-html.ts';

/** How mails look. */
export interface MailLook {
  readonly name: string;
  readonly logoUrl: string | undefined;
  /** The color of the button, `#rrggbb`. */
  readonly accent: string;
}

export interface MailParts {
  readonly language: string;
  readonly subject: string;
  /** What a list of mails shows beside the subject. */
  readonly preheader: string;
  readonly body: string;
}

const font = `font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif`;

// Mail programs that know no style sheet show the light colors of the attributes.
const darkStyle = `
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .back { background: #101317 !important; }
  .card { background: #191d23 !important; border-color: #3a424d !important; }
  .text { color: #e8eaed !important; }
  .faint, .faint a { color: #a4adb8 !important; }
}`;

/**
 * The HTML of a mail. Outlook renders with Word's engine, which knows tables and attributes but no widths and paddings of
 * other elements; Gmail drops a style sheet that it does not understand. All texts are escaped already.
 */
export function layOutMail({ language, subject, preheader, body }: MailParts, { name, logoUrl }: MailLook): string {
  const title = escapeHtml(name);
  const head = logoUrl
    ? `<img src="${escapeHtml(logoUrl)}" alt="${title}" height="32" style="display:block;height:32px;width:auto;border:0">`
    : title;
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${subject}</title>
<style>${darkStyle}
</style>
</head>
<body class="back" style="margin:0;padding:0;background:#f4f5f7">
<div style="display:none;max-height:0;overflow:hidden;font-size:1px;line-height:1px">${preheader}${'&#847;&zwnj;&nbsp;'.repeat(40)}</div>
<table role="presentation" class="back" width="100%" cellpadding="0" cellspacing="0" border="0" bgcolor="#f4f5f7">
<tr><td align="center" style="padding:24px 12px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:560px">
<tr><td class="faint" style="padding:0 4px 12px;color:#57606a;font-size:15px;${font}">${head}</td></tr>
<tr><td class="card" bgcolor="#ffffff" style="background:#ffffff;border:1px solid #d8dce0;border-radius:12px;padding:24px 20px">
${body}
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
`;
}

export function paragraph(text: string): string {
  return `<p class="text" style="margin:0 0 16px;color:#1b1f24;font-size:16px;line-height:24px;overflow-wrap:anywhere;${font}">${text}</p>`;
}

/** A code to type. The gaps are no characters, so that a copied code has none. */
export function code(text: string): string {
  return `<p class="text" style="margin:0 0 16px;color:#1b1f24;font-size:32px;line-height:40px;font-weight:700;letter-spacing:8px;font-family:Consolas,Menlo,monospace">${text}</p>`;
}

/** A link as text. */
export function plainLink(url: string): string {
  return `<p class="faint" style="margin:0 0 16px;color:#57606a;font-size:14px;line-height:20px;overflow-wrap:anywhere;word-break:break-all;${font}"><a href="${url}" style="color:#57606a">${url}</a></p>`;
}

/** The one button of a mail, and the same link as text, for programs that show no button. */
export function button(label: string, url: string, accent: string): string {
  return `<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:0 0 16px"><tr><td bgcolor="${accent}" style="background:${accent};border-radius:8px"><a href="${url}" style="display:inline-block;padding:12px 24px;color:${onColor(accent)};font-size:16px;line-height:20px;font-weight:600;text-decoration:none;${font}">${label}</a></td></tr></table>
${plainLink(url)}`;
}
