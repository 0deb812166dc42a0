import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { escapeHtml } from '../text/escape-html.ts';

/** A mail that was stored instead of sent. */
interface ShownMail {
  readonly id: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly time: string;
}

/** The mails that a replica outside production stores, newest first. */
export interface InboxView {
  /** MAIL_FROM: the name and the address. */
  readonly sender: string;
  list(): readonly ShownMail[];
  /** One mail of each kind in each language. */
  gallery(): readonly ShownMail[];
}

const style = `:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:44em;margin:1em auto;padding:0 1em;overflow-wrap:anywhere}
ul{list-style:none;padding:0}li{padding:.6em 0;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent)}
li a{font-weight:600}small{opacity:.8}nav{margin:1em 0}
iframe{width:100%;height:36em;border:1px solid color-mix(in srgb,currentColor 30%,transparent);border-radius:8px;background:#fff}
pre{white-space:pre-wrap;font:inherit}`;

/**
 * The inbox of development: a list of mails, which reloads itself, one mail (`?id=`), its HTML alone (`&part=html`), and a
 * gallery of all mails in all languages (`?gallery`). With `accept: application/json`, mails as JSON.
 */
export function showInbox(inbox: InboxView, req: IncomingMessage, res: ServerResponse) {
  // DNS rebinding: a page on the internet could point its own name to this port and read the links.
  if (!isOwnName(req.headers.host ?? '')) return end(res, 403, 'text/plain', 'only under the name of this machine');
  const query = new URL(req.url ?? '', 'http://localhost').searchParams;
  const isGallery = query.has('gallery');
  const mails = isGallery ? inbox.gallery() : inbox.list();
  const id = query.get('id');
  const mail = mails.find((each) => each.id === id);
  if (id !== null && !mail) return end(res, 404, 'text/plain', 'no such mail');
  if (req.headers.accept?.includes('application/json'))
    return end(res, 200, 'application/json', JSON.stringify(mail ?? { mails }));
  // The page contains its styles, and the mail in a frame. It may load or run nothing else; a mail may show its logo.
  const isFramed = mail && query.get('part') === 'html';
  const frames = isFramed ? "frame-ancestors 'self'; img-src https:" : "frame-src 'self'; frame-ancestors 'none'";
  res.setHeader(
    'content-security-policy',
    `default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; ${frames}`,
  );
  if (isFramed) return end(res, 200, 'text/html', openOutside(mail.html));
  end(res, 200, 'text/html', mail ? mailPage(mail, inbox.sender, isGallery) : listPage(mails, inbox.sender, isGallery));
}

function isOwnName(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}

function end(res: ServerResponse, status: number, type: string, body: string): void {
  res.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(body);
}

/** A link in the mail opens in the place of the whole page. */
function openOutside(html: string): string {
  return html.replace('<head>', '<head><base target="_top">');
}

function listPage(mails: readonly ShownMail[], sender: string, isGallery: boolean): string {
  const items = mails.map(
    ({ id, subject, recipient, time }) =>
      `<li><a href="${addressOf(id, isGallery)}">${escapeHtml(subject)}</a><br><small>${
        isGallery ? escapeHtml(id) : `${escapeHtml(sender)} to ${escapeHtml(recipient)}, ${local(time)}`
      }</small></li>`,
  );
  const list = items.length > 0 ? `<ul>${items.join('\n')}</ul>` : '<p>No mail yet. This page reloads itself.</p>';
  const [title, other] = isGallery
    ? ['All mails', '<a href="/dev/mail">Inbox</a>']
    : ['Inbox', '<a href="/dev/mail">Reload</a> · <a href="?gallery">All mails that there are</a>'];
  return page(title, `<nav>${other}</nav>${list}`, isGallery ? '' : '<meta http-equiv="refresh" content="10">');
}

function mailPage({ id, subject, recipient, time, text }: ShownMail, sender: string, isGallery: boolean): string {
  const linked = escapeHtml(text).replace(/https?:\/\/[^\s<]+/g, '<a href="$&">$&</a>');
  const self = addressOf(id, isGallery);
  return page(
    subject,
    `<nav><a href="/dev/mail${isGallery ? '?gallery' : ''}">Back</a></nav>
<p><small>${escapeHtml(sender)} to ${escapeHtml(recipient)}, ${local(time)}</small></p>
<iframe title="The mail as HTML" sandbox="allow-top-navigation-by-user-activation" src="${self}&amp;part=html"></iframe>
<p><a href="${self}&amp;part=html">HTML alone</a></p>
<h2>As text</h2>
<pre>${linked}</pre>`,
  );
}

function addressOf(id: string, isGallery: boolean): string {
  return `?${isGallery ? 'gallery&amp;' : ''}id=${encodeURIComponent(id)}`;
}

/** In the time zone of this machine, whose developer reads it. */
function local(time: string): string {
  return escapeHtml(new Date(time).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'medium' }));
}

function page(title: string, body: string, head = ''): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">${head}
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><h1>${escapeHtml(title)}</h1>${body}</body>
</html>
`;
}
