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
  list(): readonly ShownMail[];
}

const style =
  'body{font:16px/1.5 sans-serif;max-width:44em;margin:1em auto;padding:0 1em}li{margin:.8em 0}a{overflow-wrap:anywhere}pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}';

/**
 * The inbox of development: a list of mails, or one mail with its links (`?id=`), or its HTML as the recipient sees it
 * (`&part=html`). With `accept: application/json`, the same as JSON.
 */
export function showInbox(inbox: InboxView, req: IncomingMessage, res: ServerResponse) {
  // DNS rebinding: a page on the internet could point its own name to this port and read the links.
  if (!isOwnName(req.headers.host ?? '')) return end(res, 403, 'text/plain', 'only under the name of this machine');
  const query = new URL(req.url ?? '', 'http://localhost').searchParams;
  const mails = inbox.list();
  const id = query.get('id');
  const mail = mails.find((each) => each.id === id);
  if (id !== null && !mail) return end(res, 404, 'text/plain', 'no such mail');
  if (req.headers.accept?.includes('application/json'))
    return end(res, 200, 'application/json', JSON.stringify(mail ?? { mails }));
  // The page contains its styles. It may load or run nothing else.
  const csp = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'";
  res.setHeader('content-security-policy', csp);
  if (mail && query.get('part') === 'html') return end(res, 200, 'text/html', mail.html);
  end(res, 200, 'text/html', mail ? mailPage(mail) : listPage(mails));
}

function isOwnName(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}

function end(res: ServerResponse, status: number, type: string, body: string): void {
  res.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(body);
}

function listPage(mails: readonly ShownMail[]): string {
  const items = mails.map(
    ({ id, subject, recipient, time }) =>
      `<li><a href="?id=${encodeURIComponent(id)}">${escapeHtml(subject)}</a><br>to ${escapeHtml(recipient)}, ${escapeHtml(time)}</li>`,
  );
  return page('Mail', items.length > 0 ? `<ul>${items.join('\n')}</ul>` : '<p>No mail yet.</p>');
}

function mailPage({ id, subject, recipient, time, text }: ShownMail): string {
  const linked = escapeHtml(text).replace(/https?:\/\/[^\s<]+/g, '<a href="$&">$&</a>');
  const head = `<p>to ${escapeHtml(recipient)}, ${escapeHtml(time)}</p>`;
  const ways = `<p><a href="/dev/mail">All mails</a> · <a href="?id=${encodeURIComponent(id)}&amp;part=html">as HTML</a></p>`;
  return page(subject, `${head}<pre>${linked}</pre>${ways}`);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><h1>${escapeHtml(title)}</h1>${body}</body>
</html>
`;
}
