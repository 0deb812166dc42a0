import type { Message } from '@bufbuild/protobuf';
import {
  createContextValues,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
  type ServiceImplSpec,
} from '@connectrpc/connect';
import { transformInvokeImplementation } from '@connectrpc/connect/protocol';
import type {
  handleBidiStreamingCall,
  handleUnaryCall,
  Metadata,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
} from '@grpc/grpc-js';
import type { LogBug } from '../rpc/bug.ts';
import { openCallContext } from '../rpc/call-context.ts';
import { connectErrorOf, reportBug } from '../rpc/connect-error.ts';
import { kCertificateNames, kOrigin } from '../rpc/context.ts';
import { longestCall } from '../rpc/deadline.ts';
import { OpenCalls } from '../rpc/open-calls.ts';
import { readOrigin } from '../rpc/origin.ts';
import { chainOf, type UnarySpec } from '../rpc/unary-chain.ts';
import { clientNames } from './client-certificate.ts';
import { perConnection } from './connection.ts';
import { statusFrom } from './library-faults.ts';
import { decode, encode } from './message.ts';
import { headersFrom, metadataFrom } from './metadata.ts';

export interface GrpcOptions {
  readonly interceptors: Interceptor[];
  readonly proxyHops: number;
  readonly shutdownSignal: AbortSignal;
  readonly logBug: LogBug;
}

interface Serving extends Omit<GrpcOptions, 'shutdownSignal'> {
  readonly openCalls: OpenCalls;
}

type Call = ServerUnaryCall<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** Adds services to a grpc-js server, with the same interceptors as in the Connect gateway. */
export function serveGrpc(server: Server, services: readonly ServiceImplSpec[], options: GrpcOptions): void {
  const serving = { ...options, openCalls: new OpenCalls(options.shutdownSignal) };
  for (const { methods } of services) {
    const specs = Object.values(methods);
    const definition = Object.fromEntries(specs.map((spec) => [spec.method.localName, wireFormat(spec)]));
    const handlers = Object.fromEntries(specs.map((spec) => [spec.method.localName, handlerOf(spec, serving)]));
    server.addService(definition, handlers);
  }
}

// grpc-js passes messages on as bytes: a message that it failed to decode would be INTERNAL. Every stream is served as
// a bidirectional one, which is the same on the wire.
function wireFormat({ kind, method }: MethodImplSpec) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: kind !== 'unary',
    responseStream: kind !== 'unary',
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  };
}

function handlerOf(spec: MethodImplSpec, serving: Serving) {
  return spec.kind === 'unary' ? unaryHandler(spec, serving) : streamHandler(spec, serving);
}

function unaryHandler(spec: UnarySpec, serving: Serving): handleUnaryCall<Buffer, Buffer> {
  const invoke = chainOf(spec, serving.interceptors);
  return async (call, respond) => {
    const context = contextOf(call, spec, serving);
    try {
      const message = await invoke(decode(spec, call.request), context);
      call.sendMetadata(metadataFrom(context.responseHeader));
      respond(null, encode(spec, message), trailerOf(context));
    } catch (thrown) {
      reportBug(serving.logBug, thrown, context.values.get(kOrigin).requestId);
      sendHeader(call, context);
      respond(statusFrom(connectErrorOf(thrown), context.responseTrailer));
    } finally {
      context.close();
    }
  };
}

function streamHandler(spec: MethodImplSpec, serving: Serving): handleBidiStreamingCall<Buffer, Buffer> {
  return async (call) => {
    const context = contextOf(call, spec, serving);
    const invoke = transformInvokeImplementation(spec, context, serving.interceptors);
    let isFirst = true;
    try {
      for await (const message of invoke(requestsOf(spec, call))) {
        if (call.cancelled) break;
        if (isFirst) sendHeader(call, context);
        isFirst = false;
        if (!call.write(encode(spec, message))) await drained(call);
      }
      if (isFirst) sendHeader(call, context);
      call.end(metadataFrom(context.responseTrailer));
    } catch (thrown) {
      reportBug(serving.logBug, thrown, context.values.get(kOrigin).requestId);
      if (isFirst) sendHeader(call, context);
      if (!call.cancelled) call.emit('error', statusFrom(connectErrorOf(thrown), context.responseTrailer));
    } finally {
      context.abort('CANCELED');
      context.close();
    }
  };
}

/** Undefined for an empty one, which grpc-js would copy. */
function trailerOf({ responseTrailer }: HandlerContext): Metadata | undefined {
  return isEmpty(responseTrailer) ? undefined : metadataFrom(responseTrailer);
}

function isEmpty(headers: Headers): boolean {
  return headers.keys().next().done === true;
}

/** Sends the headers that the method has set. Without any, grpc-js sends none before an error, which is shorter. */
function sendHeader(call: Call, { responseHeader }: HandlerContext): void {
  if (!isEmpty(responseHeader)) call.sendMetadata(metadataFrom(responseHeader));
}

async function* requestsOf(spec: MethodImplSpec, call: ServerDuplexStream<Buffer, Buffer>): AsyncGenerator<Message> {
  for await (const bytes of call.iterator({ destroyOnReturn: false })) yield decode(spec, bytes as Buffer);
}

function drained(call: ServerDuplexStream<Buffer, Buffer>): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['drain', 'close', 'cancelled']) call.once(event, () => resolve());
  });
}

function contextOf(call: Call, { method, kind }: MethodImplSpec, serving: Serving) {
  const requestHeader = headersFrom(call.metadata);
  const origin = readOrigin((name) => requestHeader.get(name), socketAddress(call), serving.proxyHops);
  const context = openCallContext({
    method,
    protocolName: 'grpc',
    requestMethod: 'POST',
    url: `http://gatehouse/${method.parent.typeName}/${method.name}`,
    requestHeader,
    timeoutMs: timeLeft(call, kind === 'unary' ? longestCall : undefined),
    openCalls: serving.openCalls,
    values: createContextValues().set(kOrigin, origin).set(kCertificateNames, clientNames(call)),
  });
  call.once('cancelled', () => context.abort('CANCELED'));
  return context;
}

function timeLeft(call: Call, most: number | undefined): number | undefined {
  const left = Math.max(0, Number(call.getDeadline()) - Date.now());
  return Number.isFinite(left) ? Math.min(left, most ?? left) : most;
}

// getPeer returns address and port, with or without brackets around an IPv6 address.
const socketAddress = perConnection((call: Call): string => {
  const peer = call.getPeer();
  const address = peer.slice(0, peer.lastIndexOf(':'));
  return address.startsWith('[') ? address.slice(1, -1) : address;
});
