import { AggregatorRegistry, type Registry } from 'prom-client';
import { dataOf, Exposition, type MetricData } from '../telemetry/metrics/exposition.ts';
import { processMetrics } from '../telemetry/metrics/runtime.ts';

/** The metrics of a worker as of its last message. Its gauges are out of date once it does not respond. */
export interface ReportedMetrics {
  readonly metrics: readonly MetricData[];
  readonly isResponsive: boolean;
}

/** The metrics of all workers of a replica together. */
export class WorkerMetrics {
  readonly #own = new Exposition();
  #ofEnded: readonly MetricData[] = [];
  deaths = 0;
  hangs = 0;

  /** `live` returns the number of workers that serve and respond. */
  constructor(live: () => number) {
    this.#own.gauge('gatehouse_workers', 'Workers that serve and respond.', 'sum', live);
    this.#own.counter('gatehouse_worker_deaths_total', 'Workers that ended unexpectedly.', () => this.deaths);
    const hangs = 'Workers that did not respond and were killed. They count as deaths as well.';
    this.#own.counter('gatehouse_worker_hangs_total', hangs, () => this.hangs);
    // Workers report the same gauge, and the largest value counts. Without a worker the replica is not ready.
    this.#own.gauge('gatehouse_ready', 'Whether the replica reports itself ready: 1 or 0.', 'max', () => 0);
  }

  /**
   * Keeps the counters of an ended worker. Without them the sums would fall, which Prometheus takes for a restart: it would
   * add all that the other workers have ever counted a second time.
   */
  keepEnded(metrics: readonly MetricData[]): void {
    this.#ofEnded = merge(this.#ofEnded, countersIn(metrics)).getMetricsAsArray() as unknown as MetricData[];
  }

  /** In Prometheus's text format. Race: `workers` is read last, because a worker that ends meanwhile would count twice. */
  async scrape(workers: () => readonly ReportedMetrics[]): Promise<string> {
    const own = [await this.#own.toData(), await dataOf(processMetrics())];
    const reported = workers().map(({ metrics, isResponsive }) => (isResponsive ? metrics : countersIn(metrics)));
    return merge(...reported, this.#ofEnded, ...own).metrics();
  }
}

function countersIn(metrics: readonly MetricData[]): readonly MetricData[] {
  return metrics.filter(({ type }) => type !== 'gauge');
}

function merge(...all: (readonly MetricData[])[]): Registry {
  return AggregatorRegistry.aggregate([...all]);
}
