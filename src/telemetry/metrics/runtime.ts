import { performance } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Aggregation } from './exposition.ts';

let registryOfProcess: Registry | undefined;

/**
 * The metrics of the process: CPU, memory, garbage collection, and the delay and utilisation of the event loop since the
 * last scrape. Created once, even if several replicas run in the process.
 */
export function processMetrics(): Registry {
  registryOfProcess ??= createRegistry();
  return registryOfProcess;
}

function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of registry.getMetricsAsArray().map((each) => each.name)) {
    const aggregator = aggregationOf(name);
    if (aggregator) Object.assign(registry.getSingleMetric(name)!, { aggregator });
  }
  let last = performance.eventLoopUtilization();
  new Gauge({
    name: 'nodejs_eventloop_utilization_ratio',
    help: 'Share of time in which the event loop was busy.',
    aggregator: 'max',
    registers: [registry],
    collect() {
      const now = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  });
  return registry;
}

/** For several processes: the slowest event loop, and the earliest start. Undefined keeps prom-client's default. */
function aggregationOf(name: string): Aggregation | undefined {
  if (name === 'process_start_time_seconds') return 'min';
  return name.startsWith('nodejs_eventloop_lag') ? 'max' : undefined;
}
