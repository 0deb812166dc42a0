import { performance } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Together } from './exposition.ts';

let made: Registry | undefined;

/**
 * The metrics of the process: CPU, memory, garbage collection, and how late the event loop is and how busy. Made once,
 * however many replicas run in it. Delay and utilisation are those since the last scrape.
 */
export function processMetrics(): Registry {
  made ??= makeRegistry();
  return made;
}

function makeRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of registry.getMetricsAsArray().map((each) => each.name)) {
    const together = togetherOf(name);
    if (together) Object.assign(registry.getSingleMetric(name)!, { aggregator: together });
  }
  let last = performance.eventLoopUtilization();
  new Gauge({
    name: 'nodejs_eventloop_utilization_ratio',
    help: 'The share of the time in which the event loop was not idle.',
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

/** Of several processes the slowest event loop counts, and the start of the first. Undefined where prom-client's own do. */
function togetherOf(name: string): Together | undefined {
  if (name === 'process_start_time_seconds') return 'min';
  return name.startsWith('nodejs_eventloop_lag') ? 'max' : undefined;
}
