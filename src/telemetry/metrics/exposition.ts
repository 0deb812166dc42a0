import { type Aggregator, type Metric, Registry } from 'prom-client';
import { bounds, type Timings } from './timings.ts';

type Labels = Readonly<Record<string, string>>;

/** One series of a metric. */
export type Series<T> = readonly [labels: Labels, value: T];

/** A number stands for the one series of a metric without labels, undefined for none at the moment. */
type Read = () => number | undefined | Iterable<Series<number>>;

/** What the workers of one replica say together. */
export type Together = Extract<Aggregator, 'sum' | 'min' | 'max' | 'first'>;

/** A metric with its series as plain data, so that a worker can hand it over. */
export interface Told {
  readonly name: string;
  readonly type: string;
}

/**
 * The metrics of one replica in Prometheus's text format. Whoever counts keeps plain numbers; they are asked for them
 * when somebody scrapes. Labels hold names out of our own code and contract, never anything of a caller.
 */
export class Exposition {
  readonly #registry = new Registry();

  counter(name: string, help: string, read: Read): void {
    this.#register(name, help, 'counter', 'sum', () => toLines(read()));
  }

  gauge(name: string, help: string, together: Together, read: Read): void {
    this.#register(name, help, 'gauge', together, () => toLines(read()));
  }

  histogram(name: string, help: string, read: () => Iterable<Series<Timings>>): void {
    this.#register(name, help, 'histogram', 'sum', () => [...read()].flatMap((each) => toBuckets(name, each)));
  }

  /** prom-client's own classes keep the numbers themselves. Of a metric its registry uses no more than this. */
  #register(name: string, help: string, type: string, aggregator: Together, read: () => unknown[]): void {
    const get = async () => ({ name, help, type, aggregator, values: read() });
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  tell(): Promise<readonly Told[]> {
    return toldBy(this.#registry);
  }
}

export async function toldBy(registry: Registry): Promise<readonly Told[]> {
  // Its declarations have numbers for the types of metrics, where there are names.
  return (await registry.getMetricsAsJSON()) as unknown as Told[];
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
