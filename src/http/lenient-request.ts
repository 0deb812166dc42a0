import type { IncomingMessage } from 'node:http';

/** The content type of a request, with a quoted charset (RFC 9110, section 8.3.1) as Connect spells it. */
export function contentTypeOf({ headers }: IncomingMessage): string {
  const type = headers['content-type'] ?? '';
  return type.includes('"') ? type.replace(/;\s*charset="utf-8"\s*$/i, '; charset=utf-8') : type;
}

/** Whether a request has no body, which Connect does not read as an empty message in JSON. */
export function hasNoBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return length === undefined ? headers['transfer-encoding'] === undefined : Number(length) === 0;
}
