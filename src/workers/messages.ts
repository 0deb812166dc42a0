import type { Readiness } from '../rpc/readiness.ts';
import type { MetricData } from '../telemetry/metrics/exposition.ts';

export interface Ports {
  readonly grpcPort: number;
  readonly httpPort: number;
}

/** A message from a worker to the primary. */
export type FromWorker =
  | ({ readonly kind: 'ready' } & Ports)
  | { readonly kind: 'failed'; readonly sentence: string }
  | { readonly kind: 'health'; readonly readiness: Readiness }
  | { readonly kind: 'pong' }
  | { readonly kind: 'metrics'; readonly metrics: readonly MetricData[] };

/** A message from the primary to a worker. */
export type ToWorker =
  | { readonly kind: 'ping' }
  | { readonly kind: 'scrape' }
  | { readonly kind: 'stop'; readonly isReplaced: boolean };
