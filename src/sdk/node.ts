import type { Interceptor } from '@connectrpc/connect';
import { withAttemptIds } from './attempts.ts';
import { type Clients, createClients } from './clients.ts';
import { type ChannelAddress, openChannel } from './grpc-channel.ts';
import { createGrpcTransport } from './grpc-transport.ts';
import { withRequestIds } from './request-ids.ts';
import { type CallDefaults, withRetries } from './retry.ts';

export type { TlsOptions } from './grpc-channel.ts';
export * from './surface.ts';

export interface GatehouseOptions extends ChannelAddress, CallDefaults {
  /** Run around every attempt of a call, the first one outermost: for logs and traces. */
  readonly interceptors?: readonly Interceptor[];
}

export interface Gatehouse extends Clients {
  /** Closes the connections after the calls in flight have ended. Further calls fail. */
  close(): void;
}

/**
 * The service's clients over gRPC, for backends on Node. One per process is enough for any number of parallel calls. It
 * connects at the first call, spreads the calls over all replicas, continues with the others when one stops, and does
 * not keep the process running.
 */
export function createGatehouse(options: GatehouseOptions): Gatehouse {
  const client = openChannel(options);
  const transport = createGrpcTransport(client, options.interceptors ?? []);
  const clients = createClients(withRequestIds(withAttemptIds(withRetries(transport, options))));
  return { ...clients, close: () => client.close() };
}
