import type { DescMethod } from '@bufbuild/protobuf';
import type { CallCounter } from '../../rpc/telemetry.ts';
import { CallMetrics } from './calls.ts';
import { Exposition, type Told, toldBy } from './exposition.ts';
import { JobMetrics } from './jobs.ts';
import { exposeMail, type MailView } from './mail.ts';
import { ResourceMetrics, type Resources } from './resources.ts';
import { processMetrics } from './runtime.ts';

/** Everything that one replica counts, for Prometheus to scrape. */
export class Metrics {
  readonly #exposition = new Exposition();
  readonly #process = processMetrics();
  readonly #now: () => Date;
  readonly resources = new ResourceMetrics();

  constructor(version: string, now: () => Date) {
    this.#now = now;
    this.#exposition.gauge('gatehouse_build_info', 'Which version runs.', 'first', () => [[{ version }, 1]]);
  }

  countCalls(methods: readonly DescMethod[]): CallCounter {
    const calls = new CallMetrics(methods);
    calls.expose(this.#exposition);
    return calls;
  }

  /** Answers with what to call when a run of one of these jobs has ended. */
  countJobs(names: readonly string[]): (name: string, isGood: boolean) => void {
    const jobs = new JobMetrics(names, this.#now);
    jobs.expose(this.#exposition);
    return (name, isGood) => jobs.ended(name, isGood);
  }

  watchMail(mail: MailView): void {
    exposeMail(this.#exposition, mail);
  }

  watch(resources: Resources): void {
    this.resources.expose(this.#exposition, resources, this.#now);
  }

  /** All of it in Prometheus's text format, version 0.0.4. */
  async scrape(): Promise<string> {
    return [await this.#exposition.text(), await this.#process.metrics()].join('\n');
  }

  /** The same as plain data. */
  async tell(): Promise<readonly Told[]> {
    return [...(await this.#exposition.tell()), ...(await toldBy(this.#process))];
  }
}
