import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isRead } from '../probes.ts';

/** The style sheet of an operator, which follows the one of all pages. */
export interface OwnSheet {
  readonly path: string;
  readonly text: string;
}

/** The name changes with the text, so that browsers can keep it. */
export function openSheet(text: string | undefined): OwnSheet | undefined {
  if (text === undefined) return undefined;
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 32);
  return { path: `/pages-${digest}.css`, text };
}

/** Returns false for a request for something else. */
export function sendSheet(
  sheet: OwnSheet | undefined,
  path: string,
  req: IncomingMessage,
  res: ServerResponse,
): boolean {
  if (path !== sheet?.path || !isRead(req)) return false;
  res.setHeader('cache-control', 'public, max-age=31536000, immutable');
  res.setHeader('content-type', 'text/css; charset=utf-8').end(sheet.text);
  return true;
}
