import { AggregatorRegistry, type Registry } from 'prom-client';
import { Exposition, type Told, toldBy } from '../telemetry/metrics/exposition.ts';
import { processMetrics } from '../telemetry/metrics/runtime.ts';

/** What the workers of a replica count, as one. */
export class CrewMetrics {
  readonly #own = new Exposition();
  #departed: readonly Told[] = [];
  deaths = 0;

  /** `live` is how many workers serve. */
  constructor(live: () => number) {
    this.#own.gauge('gatehouse_workers', 'Workers that have started and not ended.', 'sum', live);
    this.#own.counter('gatehouse_worker_deaths_total', 'Workers that ended unasked.', () => this.deaths);
  }

  /**
   * Keeps what an ended worker has counted: a sum that fell would look to Prometheus like a restart, and all that the
   * others have ever counted like new.
   */
  depart(metrics: readonly Told[]): void {
    const lasting = metrics.filter(({ type }) => type !== 'gauge');
    this.#departed = merge(this.#departed, lasting).getMetricsAsArray() as unknown as Told[];
  }

  /** In Prometheus's text format. Asks for those of the workers last: one that departs meanwhile would count twice. */
  async scrape(workers: () => readonly (readonly Told[])[]): Promise<string> {
    const own = [await this.#own.tell(), await toldBy(processMetrics())];
    return merge(...workers(), this.#departed, ...own).metrics();
  }
}

function merge(...all: (readonly Told[])[]): Registry {
  return AggregatorRegistry.aggregate([...all]);
}
