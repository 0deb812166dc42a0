import { fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { MethodImplSpec } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { toConnectError } from '../rpc/connect-error.ts';

/** Throws MALFORMED_REQUEST. */
export function decode({ method }: MethodImplSpec, bytes: Buffer): Message {
  try {
    return fromBinary(method.input, bytes);
  } catch (cause) {
    const detail = `the message is not a ${method.input.name} in protobuf`;
    throw toConnectError(new Refusal('MALFORMED_REQUEST', { cause, detail }));
  }
}

export function encode({ method }: MethodImplSpec, message: Message): Buffer {
  const bytes = toBinary(method.output, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
