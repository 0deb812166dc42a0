import type { DescService } from '@bufbuild/protobuf';
import type { Interceptor, ServiceImplSpec } from '@connectrpc/connect';
import { logVerbosity, Server, type ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { serve } from '../rpc/services.ts';
import { serveGrpc } from './adapter.ts';
import { type HealthState, healthService } from './health.ts';
import { explainFaults } from './library-faults.ts';
import { limitMetadata } from './metadata-limit.ts';
import { reflectionServices } from './reflection.ts';
import { explainUnknownMethods } from './unknown-method.ts';

export interface GrpcServerOptions {
  readonly services: readonly ServiceImplSpec[];
  readonly interceptors: Interceptor[];
  readonly health: HealthState;
  readonly proxyHops: number;
  readonly shutdownSignal: AbortSignal;
  /** Whether the server describes itself. */
  readonly reflection: boolean;
  /** Bytes of a request at most. */
  readonly largestRequest: number;
}

/** The gRPC server with our services and, beside them, health and reflection, which need no caller. */
export function createGrpcServer(options: GrpcServerOptions): Server {
  // It writes to stderr what it does not like of a call's metadata: a bearer with one wrong letter, for example.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': options.largestRequest,
    'grpc.max_concurrent_streams': 100,
    // Clients come back after a while, and with them the balance between replicas.
    'grpc.max_connection_age_ms': 30 * 60_000,
    'grpc.max_connection_age_grace_ms': 30_000,
    'grpc.keepalive_time_ms': 60_000,
    interceptors: [explainFaults],
  });
  limitMetadata(server);
  explainUnknownMethods(server);
  serveGrpc(server, options.services, options);
  const described = [...options.services.map(({ service }) => service), Health];
  const foreign = [serve(Health, healthService(options.health)), ...(options.reflection ? reflect(described) : [])];
  serveGrpc(server, foreign, { ...options, interceptors: [] });
  return server;
}

function reflect(services: readonly DescService[]): ServiceImplSpec[] {
  const { v1, v1alpha } = reflectionServices(services);
  return [serve(ServerReflection, v1), serve(ServerReflectionAlpha, v1alpha)];
}

/** Answers with the port it listens on. */
export function listenGrpc(
  server: Server,
  host: string,
  port: number,
  credentials: ServerCredentials,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
}

/**
 * Lets the calls under way end, until the signal cuts them off. tryShutdown alone waits for as long as a client likes, and
 * forceShutdown of grpc-js 1.14 ends no connection when channelz is off: so we stop waiting as well.
 */
export async function drainGrpc(server: Server, cutOff: AbortSignal): Promise<void> {
  const drained = Promise.withResolvers<void>();
  const force = () =>
    setTimeout(() => {
      server.forceShutdown();
      drained.resolve();
    }, 100);
  cutOff.addEventListener('abort', force, { once: true });
  server.tryShutdown(() => drained.resolve());
  await drained.promise;
  cutOff.removeEventListener('abort', force);
}
