import type { DescService } from '@bufbuild/protobuf';
import type { Interceptor, ServiceImplSpec } from '@connectrpc/connect';
import { logVerbosity, Server, type ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import type { LogBug } from '../rpc/bug.ts';
import { serve } from '../rpc/services.ts';
import { authority } from '../text/authority.ts';
import { serveGrpc } from './adapter.ts';
import { type HealthState, healthService } from './health.ts';
import { explainFaults } from './library-faults.ts';
import { limitMetadata } from './metadata-limit.ts';
import { reflectionServices } from './reflection.ts';
import { refuseUnsupported } from './unsupported-requests.ts';

export interface GrpcServerOptions {
  readonly services: readonly ServiceImplSpec[];
  readonly interceptors: Interceptor[];
  readonly health: HealthState;
  readonly proxyHops: number;
  readonly shutdownSignal: AbortSignal;
  readonly logBug: LogBug;
  /** Whether the server offers reflection. */
  readonly reflection: boolean;
  /** Maximum size of a request in bytes. */
  readonly largestRequest: number;
}

/** The gRPC server with the services of the contract, and with health and reflection, which need no caller. */
export function createGrpcServer(options: GrpcServerOptions): Server {
  // grpc-js writes invalid metadata of a call to stderr: an access token with one wrong character, for example.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': options.largestRequest,
    'grpc.max_concurrent_streams': 100,
    // Clients connect again after this time, which spreads them over the replicas.
    'grpc.max_connection_age_ms': 30 * 60_000,
    'grpc.max_connection_age_grace_ms': 30_000,
    'grpc.keepalive_time_ms': 60_000,
    interceptors: [explainFaults],
  });
  limitMetadata(server);
  refuseUnsupported(server);
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

/** Resolves with the port that the server listens on. */
export function listenGrpc(
  server: Server,
  host: string,
  port: number,
  credentials: ServerCredentials,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(authority(host, port), credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
}

/**
 * Sends GOAWAY on each connection: clients finish their calls and connect again, to another replica if they can. Drain, too,
 * ends calls after a time of its own. It is longer than any, so that calls end with SHUTTING_DOWN.
 */
export function sendGoaway(server: Server, address: string): void {
  server.drain(address, 3_600_000);
}

/**
 * Waits for the calls in flight to end, until the signal is aborted. tryShutdown alone waits as long as a client keeps
 * a call open, and forceShutdown of grpc-js 1.14 closes no connection when channelz is off, so the waiting ends as
 * well.
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
