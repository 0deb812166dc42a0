import { once } from 'node:events';
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type StreamRequest, type StreamResponse } from '@connectrpc/connect';
import type { CallOptions, Client, ClientDuplexStream } from '@grpc/grpc-js';
import { headersFrom } from '../grpc/metadata.ts';
import { copy, metadataOf, wireFormat } from './grpc-call.ts';
import { connectErrorFrom } from './grpc-error.ts';

type Call<I extends DescMessage, O extends DescMessage> = ClientDuplexStream<MessageShape<I>, MessageShape<O>>;

/**
 * One streaming call of any kind over grpc-js: on the wire every stream looks like a bidirectional one. Resolves when
 * the headers have arrived. Leaving the loop over the responses cancels the call, and so does aborting the request's
 * signal.
 */
export async function callStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  { method, message, header, signal }: StreamRequest<I, O>,
  options: CallOptions,
): Promise<StreamResponse<I, O>> {
  if (signal.aborted) throw ConnectError.from(signal.reason, Code.Canceled);
  const { path, encode, decode } = wireFormat<I, O>(method);
  const call: Call<I, O> = client.makeBidiStreamRequest(path, encode, decode, metadataOf(header), options);
  const cancel = () => call.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  call.on('status', () => signal.removeEventListener('abort', cancel));
  const received = { header: new Headers(), trailer: new Headers() };
  call.on('status', ({ metadata }) => copy(headersFrom(metadata), received.trailer));
  const responses = responsesOf(call);
  void send(call, message);
  copy(await headersOf(call), received.header);
  return { stream: true, service: method.parent, method, ...received, message: responses };
}

/** Listens at once: an error before the first iteration would otherwise end the process. */
function responsesOf<I extends DescMessage, O extends DescMessage>(call: Call<I, O>): AsyncIterable<MessageShape<O>> {
  let failure: unknown;
  call.on('error', (error) => {
    failure = error;
  });
  async function* iterate(): AsyncGenerator<MessageShape<O>> {
    try {
      yield* call;
    } catch (error) {
      failure ??= error;
    } finally {
      call.cancel();
    }
    if (failure) throw connectErrorFrom(failure);
  }
  return iterate();
}

function headersOf<I extends DescMessage, O extends DescMessage>(call: Call<I, O>): Promise<Headers> {
  return new Promise((resolve) => {
    call.once('metadata', (metadata) => resolve(headersFrom(metadata)));
    // A call that fails at once has only a trailer.
    call.once('status', () => resolve(new Headers()));
  });
}

async function send<I extends DescMessage, O extends DescMessage>(
  call: Call<I, O>,
  messages: AsyncIterable<MessageShape<I>>,
): Promise<void> {
  try {
    for await (const message of messages) if (!call.write(message)) await once(call, 'drain');
    call.end();
  } catch {
    // Either the call has failed, and reading its responses throws the error, or iterating the messages has.
    call.cancel();
  }
}
