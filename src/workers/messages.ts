import type { Told } from '../telemetry/metrics/exposition.ts';

export interface Ports {
  readonly grpcPort: number;
  readonly httpPort: number;
}

/** What a worker tells the primary. */
export type FromWorker =
  | ({ readonly kind: 'ready' } & Ports)
  | { readonly kind: 'failed'; readonly sentence: string }
  | { readonly kind: 'health'; readonly isServing: boolean }
  | { readonly kind: 'metrics'; readonly metrics: readonly Told[] };

/** What the primary tells a worker. */
export type ToWorker = { readonly kind: 'scrape' } | { readonly kind: 'stop'; readonly isReplaced: boolean };
