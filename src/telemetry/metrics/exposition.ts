import { type Aggregator, type Metric, Registry } from 'prom-client';
import { bounds, type Timings } from './timings.ts';

type Labels = Readonly<Record<string, string>>;

/** One series of a metric. */
export type Series<T> = readonly [labels: Labels, value: T];

/** A number is the only series of a metric without labels; undefined leaves the series out. */
type Read = () => number | undefined | Iterable<Series<number>>;

/** How the values of several workers are combined. */
export type Aggregation = Extract<Aggregator, 'sum' | 'min' | 'max' | 'first'>;

/** A metric with its series as plain data, for messages between processes. */
export interface MetricData {
  readonly name: string;
  readonly type: string;
}

/**
 * The metrics of one replica in Prometheus's text format. Components keep plain numbers, which are read at a scrape. Labels
 * contain names of our own code and contract, never anything from a caller.
 */
export class Exposition {
  readonly #registry = new Registry();

  counter(name: string, help: string, read: Read): void {
    this.#register(name, help, 'counter', 'sum', () => toLines(read()));
  }

  gauge(name: string, help: string, aggregation: Aggregation, read: Read): void {
    this.#register(name, help, 'gauge', aggregation, () => toLines(read()));
  }

  histogram(name: string, help: string, read: () => Iterable<Series<Timings>>): void {
    this.#register(name, help, 'histogram', 'sum', () => [...read()].flatMap((each) => toBuckets(name, each)));
  }

  /** prom-client's own classes would store the numbers. This is all that its registry uses of a metric. */
  #register(name: string, help: string, type: string, aggregator: Aggregation, read: () => unknown[]): void {
    const get = async () => ({ name, help, type, aggregator, values: read() });
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  toData(): Promise<readonly MetricData[]> {
    return dataOf(this.#registry);
  }
}

export async function dataOf(registry: Registry): Promise<readonly MetricData[]> {
  // prom-client declares numbers for the types of metrics, but returns names.
  return (await registry.getMetricsAsJSON()) as unknown as MetricData[];
}

function toLines(found: ReturnType<Read>) {
  if (found === undefined) return [];
  return typeof found === 'number'
    ? [{ labels: {}, value: found }]
    : Array.from(found, ([labels, value]) => ({ labels, value }));
}

function toBuckets(name: string, [labels, timings]: Series<Timings>) {
  const { cumulative, count, sum } = timings.read();
  return [
    ...bounds.map((le, index) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le },
      value: cumulative[index]!,
    })),
    { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
