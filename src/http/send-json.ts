import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Sends a body of JSON, or none. Without its length Node would send the body in chunks, apart from the headers. */
export function sendJson(res: ServerResponse, status: number, body: unknown, headers: OutgoingHttpHeaders = {}): void {
  if (body === undefined) return void res.writeHead(status, { ...headers, ...(status !== 204 && empty) }).end();
  const text = JSON.stringify(body);
  const type = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  res.writeHead(status, { ...headers, ...type }).end(text);
}

// RFC 9110, section 8.6: a 204 has no length.
const empty = { 'content-length': 0 };
