import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from '@bufbuild/protobuf';
import { type ContextValues, createContextValues, type Interceptor, type ServiceImplSpec } from '@connectrpc/connect';
import type { LogBug } from '../rpc/bug.ts';
import { kOrigin, kSystem } from '../rpc/context.ts';
import { OpenCalls } from '../rpc/open-calls.ts';
import { readOrigin } from '../rpc/origin.ts';
import { streamHandlers } from './streams.ts';
import { type Handler, unaryHandler } from './unary.ts';

export interface GatewayOptions {
  readonly interceptors: Interceptor[];
  readonly proxyHops: number;
  /** Whether JSON with fields that are not in the contract is refused, and not read without them. */
  readonly refusesUnknownFields: boolean;
  /** The types that a google.protobuf.Any in JSON may hold. */
  readonly registry?: Registry;
  readonly shutdownSignal: AbortSignal;
  readonly logBug: LogBug;
}

/** Handles a request. Returns false for a path that it does not serve. */
export type Gateway = (req: IncomingMessage, res: ServerResponse) => boolean;

/** Serves RPCs as JSON (and binary) by the Connect protocol. gRPC has its own port; gRPC-web is not supported. */
export function connectGateway(services: readonly ServiceImplSpec[], options: GatewayOptions): Gateway {
  const handlers = handlersOf(services, options);
  return (req, res) => {
    const handle = handlers.get(req.url?.split('?', 1)[0] ?? '');
    if (!handle) return false;
    const values = contextValuesOf(req, options.proxyHops);
    res.setHeader('x-request-id', values.get(kOrigin).requestId);
    void handle({ req, res, values });
    return true;
  };
}

function handlersOf(services: readonly ServiceImplSpec[], options: GatewayOptions): ReadonlyMap<string, Handler> {
  const serving = { ...options, openCalls: new OpenCalls(options.shutdownSignal) };
  const specs = services.flatMap(({ methods }) => Object.values(methods));
  const streams = specs.filter(({ kind }) => kind !== 'unary');
  const handlers = streamHandlers(streams, serving);
  for (const spec of specs)
    if (spec.kind === 'unary')
      handlers.set(`/${spec.method.parent.typeName}/${spec.method.name}`, unaryHandler(spec, serving));
  return handlers;
}

/** The context values of a request, for the interceptors: its origin and the protocol. */
export function contextValuesOf(req: IncomingMessage, proxyHops: number): ContextValues {
  const header = (name: string): string | null => {
    const value = req.headers[name];
    return (typeof value === 'string' ? value : value?.join(',')) || null;
  };
  const origin = readOrigin(header, req.socket.remoteAddress ?? '', proxyHops);
  return createContextValues().set(kOrigin, origin).set(kSystem, 'connectrpc');
}
