import { performance } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';

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
  let last = performance.eventLoopUtilization();
  new Gauge({
    name: 'nodejs_eventloop_utilization_ratio',
    help: 'The share of the time in which the event loop was not idle.',
    registers: [registry],
    collect() {
      const now = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  });
  return registry;
}
