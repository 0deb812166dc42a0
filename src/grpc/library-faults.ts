import type { ConnectError } from '@connectrpc/connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import {
  type Metadata,
  type ServerInterceptingCall,
  type ServerInterceptor,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { Refusal } from '../errors.ts';
import { reasonOfCode, toConnectError } from '../rpc/connect-error.ts';
import { metadataFrom } from './metadata.ts';

/** An error as grpc-js sends it: code, message, and the details in the trailer. */
export function statusFrom(error: ConnectError, trailer = new Headers()): StatusObject {
  const headers = setTrailerStatus(new Headers(trailer), error);
  headers.delete('grpc-status');
  headers.delete('grpc-message');
  return { code: error.code as number, details: error.rawMessage, metadata: metadataFrom(headers) };
}

/**
 * Gives the errors that grpc-js raises itself (invalid gzip, a malformed timeout, an oversized message) the codes and
 * reasons of this service. grpc-js calls some of them INTERNAL although the client caused them. It sends them on its
 * innermost call, which an ordinary interceptor never sees, so the method of that call is replaced.
 */
export const explainFaults: ServerInterceptor = (_method, call) => {
  const send = call.sendStatus.bind(call);
  call.sendStatus = (sent) => send(sent.code === status.OK || isExplained(sent.metadata) ? sent : explain(sent));
  // A wrapper around the call would only delegate to it.
  return call as ServerInterceptingCall;
};

function isExplained(metadata: Metadata | null | undefined): boolean {
  return (metadata?.get('grpc-status-details-bin').length ?? 0) > 0;
}

// Of no message, which is what a cut off one looks like, and of two, grpc-js says UNIMPLEMENTED.
const malformed: readonly [said: RegExp, detail: string][] = [
  [/ request message for /, 'a call takes one whole message'],
  [/^Invalid grpc-timeout value/, 'grpc-timeout is not a number of at most 8 digits and a unit'],
  [/^Failed to decompress/, 'the message is not in the encoding that grpc-encoding names'],
];

function explain({ code, details }: Pick<StatusObject, 'code' | 'details'>): StatusObject {
  const [, detail] = malformed.find(([said]) => said.test(details)) ?? [];
  const refusal = detail ? new Refusal('MALFORMED_REQUEST', { detail }) : new Refusal(reasonOfCode(code as number));
  return statusFrom(toConnectError(refusal));
}
