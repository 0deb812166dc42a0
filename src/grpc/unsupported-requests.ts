import type { IncomingHttpHeaders } from 'node:http2';
import { type Server, type StatusObject, status } from '@grpc/grpc-js';
import { type Reason, Refusal } from '../errors.ts';
import { toConnectError } from '../rpc/connect-error.ts';
import { statusFrom } from './library-faults.ts';

/** Methods of grpc-js that are private. Should they move one day, such requests are refused or read as grpc-js does. */
interface Inner {
  _respondWithError?: (error: Partial<StatusObject>, stream: unknown, ...rest: unknown[]) => void;
  _verifyContentType?: (stream: unknown, headers: IncomingHttpHeaders) => boolean;
}

const unknownMethod = refuse('METHOD_NOT_FOUND');
const wrongVerb = refuse('METHOD_NOT_FOUND', 'use POST');
const wrongCodec = refuse('ENCODING_NOT_SUPPORTED', 'send content-type: application/grpc or application/grpc+proto');
const wrongEncoding = refuse('ENCODING_NOT_SUPPORTED', 'compress with gzip, deflate or not at all');

/**
 * Gives our reasons to requests that this server does not support. grpc-js answers calls of unknown methods before any
 * interceptor. It reads requests with any verb, with any subtype of application/grpc, and with unknown encodings.
 */
export function refuseUnsupported(server: Server): void {
  const inner = server as unknown as Inner;
  const respond = inner._respondWithError?.bind(server);
  const verify = inner._verifyContentType?.bind(server);
  if (!respond || !verify) return;
  inner._respondWithError = (error, ...rest) =>
    respond(error.code === status.UNIMPLEMENTED ? unknownMethod : error, ...rest);
  inner._verifyContentType = (stream, headers) => {
    if (!verify(stream, headers)) return false;
    const refusal = refusalOf(headers);
    if (refusal) respond(refusal, stream, null);
    return !refusal;
  };
}

function refusalOf(headers: IncomingHttpHeaders): StatusObject | undefined {
  if (headers[':method'] !== 'POST') return wrongVerb;
  const type = headers['content-type'];
  // Nearly all clients send one of these two.
  if (type !== 'application/grpc' && type !== 'application/grpc+proto' && !isProtobuf(type)) return wrongCodec;
  const encoding = headers['grpc-encoding'];
  return encoding === undefined || encoding === 'identity' || encoding === 'gzip' || encoding === 'deflate'
    ? undefined
    : wrongEncoding;
}

function isProtobuf(type: string | undefined): boolean {
  return /^application\/grpc(\+proto)?\s*(;|$)/i.test(type ?? '');
}

function refuse(reason: Reason, detail?: string): StatusObject {
  return statusFrom(toConnectError(new Refusal(reason, { ...(detail && { detail }) })));
}
