import { send } from './raw-http.ts';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The metrics of a replica, parsed as Prometheus parses them. */
export class Scrape {
  readonly text: string;
  /** The metrics there are, also those without a series yet. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly Sample[];

  constructor(text: string) {
    this.text = text;
    this.types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]));
    this.samples = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(readSample);
  }

  /** The sum of the series with these labels; undefined when there is none. */
  value(name: string, labels: Record<string, string> = {}): number | undefined {
    const found = this.samples.filter((each) => each.name === name && isPart(labels, each.labels));
    return found.length === 0 ? undefined : found.reduce((sum, each) => sum + each.value, 0);
  }

  /** The values of a metric by its one label. */
  by(label: string, name: string): Record<string, number> {
    const found = this.samples.filter((each) => each.name === name);
    return Object.fromEntries(found.map(({ labels, value }) => [labels[label], value]));
  }
}

export async function scrape({ adminPort }: { adminPort: number | undefined }): Promise<Scrape> {
  const { text } = await send(adminPort!, { method: 'GET', path: '/metrics' });
  return new Scrape(text);
}

function readSample(line: string): Sample {
  const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (!name) throw new Error(`not in Prometheus's text format: ${line}`);
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key!, text!]);
  return { name, labels: Object.fromEntries(pairs), value: Number(value === '+Inf' ? 'Infinity' : value) };
}

function isPart(some: Record<string, string>, all: Readonly<Record<string, string>>): boolean {
  return Object.entries(some).every(([name, value]) => all[name] === value);
}
