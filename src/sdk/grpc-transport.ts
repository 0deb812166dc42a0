import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import {
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamRequest,
  type Transport,
  type UnaryRequest,
} from '@connectrpc/connect';
import type { CallOptions, Client } from '@grpc/grpc-js';
import { callUnary } from './grpc-call.ts';
import { callStream } from './grpc-stream.ts';

type AnyCall = ReturnType<Interceptor>;

/**
 * A Connect transport over a grpc-js client, for every kind of method. A call without a timeout has no deadline. A call
 * fails with a ConnectError only. The first interceptor is the outermost.
 */
export function createGrpcTransport(client: Client, interceptors: readonly Interceptor[]): Transport {
  const intercept = (call: AnyCall) => interceptors.reduceRight((next, each) => each(next), call);
  return {
    async unary(method, signal, timeoutMs, header, input, values) {
      const deadline = deadlineIn(timeoutMs);
      const call = intercept((req) => callUnary(client, req as UnaryRequest, deadline));
      const message = create(method.input, input);
      const request = requestOf(method, signal, header, values);
      return (await call({ stream: false, message, ...request }).catch(rethrow)) as never;
    },
    async stream(method, signal, timeoutMs, header, input, values) {
      const deadline = deadlineIn(timeoutMs);
      const call = intercept((req) => callStream(client, req as StreamRequest, deadline));
      const message = createEach(method.input, input);
      const request = requestOf(method, signal, header, values);
      return (await call({ stream: true, message, ...request }).catch(rethrow)) as never;
    },
  };
}

// For errors of an interceptor, or of grpc-js before a call starts: the channel is closed, a header is not ASCII.
function rethrow(thrown: unknown): never {
  throw ConnectError.from(thrown);
}

function deadlineIn(milliseconds: number | undefined): CallOptions {
  return milliseconds === undefined ? {} : { deadline: Date.now() + milliseconds };
}

function requestOf<Method extends DescMethod>(
  method: Method,
  signal = new AbortController().signal,
  header?: ConstructorParameters<typeof Headers>[0],
  contextValues: ContextValues = createContextValues(),
) {
  const url = `/${method.parent.typeName}/${method.name}`;
  return {
    service: method.parent,
    method,
    requestMethod: 'POST',
    url,
    signal,
    header: new Headers(header),
    contextValues,
  };
}

async function* createEach<Desc extends DescMessage>(
  schema: Desc,
  messages: AsyncIterable<MessageInitShape<Desc>>,
): AsyncGenerator<MessageShape<Desc>> {
  for await (const message of messages) yield create(schema, message);
}
