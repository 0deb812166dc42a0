import { type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, type UnaryRequest, type UnaryResponse } from '@connectrpc/connect';
import type { CallOptions, Client, Metadata } from '@grpc/grpc-js';
import { headersFrom, metadataFrom } from '../grpc/metadata.ts';
import { connectErrorFrom } from './grpc-error.ts';

/** One unary call over grpc-js. Aborting the request's signal cancels it. */
export function callUnary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  { method, message, header, signal }: UnaryRequest<I, O>,
  options: CallOptions,
): Promise<UnaryResponse<I, O>> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(ConnectError.from(signal.reason, Code.Canceled));
    const { path, encode, decode } = wireFormat<I, O>(method);
    // Both are filled as they arrive: the trailer right after the message.
    const received = { header: new Headers(), trailer: new Headers() };
    const call = client.makeUnaryRequest(
      path,
      encode,
      decode,
      message,
      metadataOf(header),
      options,
      (failure, value) => {
        signal.removeEventListener('abort', cancel);
        if (failure) reject(connectErrorFrom(failure));
        else resolve({ stream: false, service: method.parent, method, ...received, message: value! });
      },
    );
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    call.on('metadata', (metadata) => copy(headersFrom(metadata), received.header));
    call.on('status', ({ metadata }) => copy(headersFrom(metadata), received.trailer));
  });
}

/** How grpc-js encodes and decodes the messages of a method. */
export function wireFormat<I extends DescMessage, O extends DescMessage>(method: DescMethod) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    encode: (message: MessageShape<I>) => Buffer.from(toBinary(method.input as I, message)),
    decode: (bytes: Buffer) => fromBinary(method.output as O, bytes),
  };
}

const largestMetadata = 64 * 1024;

/**
 * The headers as metadata. More than the service takes is refused here: grpc-js, unlike other gRPC clients, does not heed
 * the limit that a server announces, and the connection would end with all of its calls.
 */
export function metadataOf(header: Headers): Metadata {
  let size = 0;
  header.forEach((value, name) => {
    size += name.length + value.length + 32;
  });
  if (size > largestMetadata) throw new ConnectError('the metadata is larger than 64 KiB', Code.ResourceExhausted);
  return metadataFrom(header);
}

export function copy(from: Headers, to: Headers): void {
  from.forEach((value, name) => {
    to.append(name, value);
  });
}
