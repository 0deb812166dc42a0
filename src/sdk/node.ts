import type { Interceptor } from '@connectrpc/connect';
import { type Clients, createClients } from './clients.ts';
import { type ChannelAddress, openChannel } from './grpc-channel.ts';
import { createGrpcTransport } from './grpc-transport.ts';
import { type CallDefaults, withRetries } from './retry.ts';

export type { TlsOptions } from './grpc-channel.ts';
export * from './surface.ts';

export interface GatehouseOptions extends ChannelAddress, CallDefaults {
  /** Run around every try of a call, the first one outermost: for logs and traces. */
  readonly interceptors?: readonly Interceptor[];
}

export interface Gatehouse extends Clients {
  /** Lets go of the connections when the calls under way have ended. Further calls fail. */
  close(): void;
}

/**
 * The service's clients over gRPC, for backends on Node: one per process and service will do, for any number of calls at
 * once. It connects at the first call, shares the calls out to all replicas, goes on with those that are left when one
 * stops, and does not keep the process running.
 */
export function createGatehouse(options: GatehouseOptions): Gatehouse {
  const client = openChannel(options);
  const transport = createGrpcTransport(client, options.interceptors ?? []);
  return { ...createClients(withRetries(transport, options)), close: () => client.close() };
}
