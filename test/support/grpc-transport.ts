import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type Message,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError, createContextValues, type Interceptor, type Transport } from '@connectrpc/connect';
import { runUnaryCall } from '@connectrpc/connect/protocol';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { headersFrom, metadataFrom } from '../../src/grpc/metadata.ts';

/** A Connect transport over a real @grpc/grpc-js client, so that tests speak gRPC as backends in Node do. */
export function grpcTransport(
  address: string,
  interceptors: Interceptor[] = [],
  options: ClientOptions = {},
  channel: ChannelCredentials = credentials.createInsecure(),
) {
  const client = new Client(address, channel, { 'grpc.use_local_subchannel_pool': 1, ...options });
  const transport: Transport = {
    unary: (method, signal, timeoutMs, header, input, contextValues) =>
      runUnaryCall({
        interceptors,
        ...(signal && { signal }),
        ...(timeoutMs !== undefined && { timeoutMs }),
        req: {
          stream: false,
          service: method.parent,
          method,
          requestMethod: 'POST',
          url: `http://${address}/${method.parent.typeName}/${method.name}`,
          header: new Headers(header),
          contextValues: contextValues ?? createContextValues(),
          message: input as never,
        },
        next: (req) => callUnary(client, method, req.message as never, req.header, req.signal, timeoutMs) as never,
      }),
    stream: (method, signal, timeoutMs, header, input) =>
      callStream(client, method as DescMethodStreaming, input as never, new Headers(header), {
        signal,
        timeoutMs,
      }) as never,
  };
  return { transport, close: () => client.close() };
}

function callUnary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  message: MessageShape<I>,
  header: Headers,
  signal: AbortSignal,
  timeoutMs: number | undefined,
) {
  return new Promise((resolve, reject) => {
    const path = `/${method.parent.typeName}/${method.name}`;
    const encode = (value: MessageShape<I>) => Buffer.from(toBinary(method.input, value));
    const decode = (bytes: Buffer) => fromBinary(method.output, bytes);
    const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
    let responseHeader = new Headers();
    let trailer = new Headers();
    const call = client.makeUnaryRequest(
      path,
      encode,
      decode,
      message,
      metadataFrom(header),
      options,
      (error, value) => {
        if (error) return reject(connectErrorFrom(error));
        resolve({ stream: false, service: method.parent, method, header: responseHeader, trailer, message: value });
      },
    );
    call.on('metadata', (metadata: Metadata) => {
      responseHeader = headersFrom(metadata);
    });
    call.on('status', ({ metadata }) => {
      trailer = headersFrom(metadata);
    });
    signal.addEventListener('abort', () => call.cancel(), { once: true });
  });
}

async function callStream(
  client: Client,
  method: DescMethodStreaming,
  input: AsyncIterable<Message>,
  header: Headers,
  { signal, timeoutMs }: { signal: AbortSignal | undefined; timeoutMs: number | undefined },
) {
  const path = `/${method.parent.typeName}/${method.name}`;
  const call = client.makeBidiStreamRequest(
    path,
    (value: Message) => Buffer.from(toBinary(method.input, value)),
    (bytes: Buffer) => fromBinary(method.output, bytes),
    metadataFrom(header),
    timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
  );
  signal?.addEventListener('abort', () => call.cancel(), { once: true });
  void (async () => {
    for await (const each of input) call.write(create(method.input, each as never));
    call.end();
  })();
  async function* messages() {
    try {
      yield* call;
    } catch (error) {
      throw connectErrorFrom(error as ServiceError);
    }
  }
  const common = { service: method.parent, method, header: new Headers(), trailer: new Headers() };
  return { stream: true, ...common, message: messages() };
}

function connectErrorFrom({ code, details, metadata }: ServiceError): ConnectError {
  const trailer = metadata ? headersFrom(metadata) : new Headers();
  trailer.set('grpc-status', `${code ?? Code.Unknown}`);
  trailer.set('grpc-message', encodeURIComponent(details ?? ''));
  return findTrailerError(trailer) ?? new ConnectError(details, code as number);
}
