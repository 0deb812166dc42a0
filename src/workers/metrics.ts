import { AggregatorRegistry, type Registry } from 'prom-client';
import { dataOf, Exposition, type MetricData } from '../telemetry/metrics/exposition.ts';
import { processMetrics } from '../telemetry/metrics/runtime.ts';

/** The metrics of all workers of a replica together. */
export class WorkerMetrics {
  readonly #own = new Exposition();
  #ofEnded: readonly MetricData[] = [];
  deaths = 0;

  /** `live` returns the number of running workers. */
  constructor(live: () => number) {
    this.#own.gauge('gatehouse_workers', 'Running workers.', 'sum', live);
    this.#own.counter('gatehouse_worker_deaths_total', 'Workers that ended unexpectedly.', () => this.deaths);
  }

  /**
   * Keeps the counters of an ended worker. Without them the sums would fall, which Prometheus takes for a restart: it would
   * add all that the other workers have ever counted a second time.
   */
  keepEnded(metrics: readonly MetricData[]): void {
    const counters = metrics.filter(({ type }) => type !== 'gauge');
    this.#ofEnded = merge(this.#ofEnded, counters).getMetricsAsArray() as unknown as MetricData[];
  }

  /** In Prometheus's text format. Race: `workers` is read last, because a worker that ends meanwhile would count twice. */
  async scrape(workers: () => readonly (readonly MetricData[])[]): Promise<string> {
    const own = [await this.#own.toData(), await dataOf(processMetrics())];
    return merge(...workers(), this.#ofEnded, ...own).metrics();
  }
}

function merge(...all: (readonly MetricData[])[]): Registry {
  return AggregatorRegistry.aggregate([...all]);
}
