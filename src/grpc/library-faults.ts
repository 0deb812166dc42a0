import type { ConnectError } from '@connectrpc/connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { type ServerInterceptingCall, type ServerInterceptor, type StatusObject, status } from '@grpc/grpc-js';
import { Refusal } from '../errors.ts';
import { reasonOfCode, toConnectError } from '../rpc/connect-error.ts';
import { metadataFrom, SentMetadata } from './metadata.ts';

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
  call.sendStatus = (sent) => {
    if (sent.code === status.OK) send({ ...sent, details: '' });
    else send(sent.metadata instanceof SentMetadata ? sent : explain(sent));
  };
  (call as unknown as Decompressing).decompressMessage = decompressNamed;
  // A wrapper around the call would only delegate to it.
  return call as ServerInterceptingCall;
};

/** A method of a call that is private to grpc-js. Should it move one day, a message as below is read as it is. */
interface Decompressing {
  decompressMessage(message: Buffer, encoding: string): unknown;
}

/** Refuses a message that its flag calls compressed while no encoding is named. grpc-js reads it as uncompressed. */
function decompressNamed(this: Decompressing, message: Buffer, encoding: string): unknown {
  if (message[0] === 1 && encoding === 'identity')
    return Promise.reject({ code: status.INTERNAL, details: 'Failed to decompress: no encoding' });
  return (Object.getPrototypeOf(this) as Decompressing).decompressMessage.call(this, message, encoding);
}

const malformed: readonly [said: RegExp, detail: string][] = [
  [/^Invalid grpc-timeout value/, 'grpc-timeout is not a number of at most 8 digits and a unit'],
  [/^Failed to decompress/, 'the message is not in the encoding that grpc-encoding names'],
];

function explain({ code, details }: Pick<StatusObject, 'code' | 'details'>): StatusObject {
  // No message, which is what a cut off one looks like, or two.
  if (/ request message for /.test(details))
    return statusFrom(
      toConnectError(new Refusal('METHOD_NOT_FOUND', { detail: 'the method takes one whole message' })),
    );
  const [, detail] = malformed.find(([said]) => said.test(details)) ?? [];
  const refusal = detail ? new Refusal('MALFORMED_REQUEST', { detail }) : new Refusal(reasonOfCode(code as number));
  return statusFrom(toConnectError(refusal));
}
