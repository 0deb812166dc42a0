import type { IncomingMessage } from 'node:http';

/**
 * Accepts two spellings that HTTP allows and Connect refuses: a quoted charset in the content type (RFC 9110, section
 * 8.3.1), and no body at all for an empty message.
 */
export function readLeniently(header: Headers, req: IncomingMessage, body: AsyncIterable<Uint8Array>) {
  const type = header.get('content-type');
  if (!type || req.method !== 'POST') return body;
  header.set('content-type', type.replace(/;\s*charset="utf-8"\s*$/i, '; charset=utf-8'));
  const isEmpty =
    header.get('content-length') === '0' || (!header.has('content-length') && !header.has('transfer-encoding'));
  if (!isEmpty || !/^application\/json\b/i.test(type)) return body;
  header.set('content-length', '2');
  return emptyObject();
}

async function* emptyObject(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('{}');
}
