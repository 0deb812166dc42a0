import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { codeToHttpStatus, errorToJson } from '@connectrpc/connect/protocol-connect';
import type { Refusal } from '../errors.ts';
import { toConnectError } from '../rpc/connect-error.ts';

/** The response of a unary call. */
export interface Reply {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string | Uint8Array;
}

/** The response of a refusal that no interceptor has seen. */
export function refused(
  refusal: Refusal,
  status = codeToHttpStatus(refusal.code),
  headers: OutgoingHttpHeaders = {},
): Reply {
  const body = JSON.stringify(errorToJson(toConnectError(refusal), undefined));
  return { status, headers: { 'content-type': 'application/json', ...headers }, body };
}

/** Does nothing for a client that has disconnected. */
export function sendReply(res: ServerResponse, { status, headers, body }: Reply): void {
  if (res.destroyed) return;
  headers['content-length'] = sizeOf(body);
  // A body of text leaves in one write together with the headers.
  res.writeHead(status, headers).end(body);
}

export function sizeOf(body: string | Uint8Array): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
}
