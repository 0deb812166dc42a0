import { type ChannelCredentials, type ChannelOptions, Client, credentials } from '@grpc/grpc-js';

export interface TlsOptions {
  /** The authorities to trust, in PEM. Default: those that Node trusts. */
  readonly ca?: string | Uint8Array;
  /** The client's own certificate chain in PEM, where the service or a proxy asks for one. Together with `key`. */
  readonly cert?: string | Uint8Array;
  /** The private key of `cert`, in PEM. */
  readonly key?: string | Uint8Array;
  /** The name that the service's certificate must contain. Default: the host of the address. */
  readonly serverName?: string;
}

export interface ChannelAddress {
  /**
   * The address of the service: `host:port`. Calls are spread round robin over all addresses that DNS has for the host.
   * Or any other name that grpc-js resolves: `ipv4:10.0.0.1:50051,10.0.0.2:50051`, `unix:/run/gatehouse.sock`.
   */
  readonly address: string;
  /** Default true. `false` sends tokens and passwords in the clear: only for loopback, and for meshes that encrypt. */
  readonly tls?: boolean | TlsOptions;
}

const channelOptions: ChannelOptions = {
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  // TXT records in DNS must not configure the client.
  'grpc.service_config_disable_resolution': 1,
  // Detects a connection that a NAT or a load balancer has dropped within 70 s, also while no call is in flight.
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  // Reconnects to a restarted replica in time for the second attempt of a call.
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 10_000,
};

/** A grpc-js client that connects at its first call. Its open connections do not keep the process running. */
export function openChannel({ address, tls = true }: ChannelAddress): Client {
  const { serverName } = typeof tls === 'object' ? tls : {};
  return new Client(address, credentialsFrom(tls), {
    ...channelOptions,
    ...(serverName && { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName }),
  });
}

function credentialsFrom(tls: boolean | TlsOptions): ChannelCredentials {
  if (tls === false) return credentials.createInsecure();
  const { ca, key, cert } = tls === true ? {} : tls;
  return credentials.createSsl(bytesOf(ca), bytesOf(key), bytesOf(cert));
}

function bytesOf(pem: string | Uint8Array | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem as Uint8Array);
}
