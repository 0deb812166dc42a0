import type { DescMethod } from '@bufbuild/protobuf';
import type { CallCounter } from '../../rpc/telemetry.ts';
import { CallMetrics } from './calls.ts';
import { dataOf, Exposition, type MetricData } from './exposition.ts';
import { JobMetrics } from './jobs.ts';
import { exposeLeases, type LeaseView } from './leases.ts';
import { exposeMail, type MailView } from './mail.ts';
import { ResourceMetrics, type Resources } from './resources.ts';
import { processMetrics } from './runtime.ts';

/** All metrics of one replica, for Prometheus to scrape. */
export class Metrics {
  readonly #exposition = new Exposition();
  readonly #process = processMetrics();
  readonly #now: () => Date;
  readonly resources = new ResourceMetrics();

  constructor(version: string, now: () => Date) {
    this.#now = now;
    this.#exposition.gauge('gatehouse_build_info', 'The running version.', 'first', () => [[{ version }, 1]]);
  }

  countCalls(methods: readonly DescMethod[]): CallCounter {
    const calls = new CallMetrics(methods);
    calls.expose(this.#exposition);
    return calls;
  }

  /** Returns the function to call after each run of one of these jobs. */
  countJobs(names: readonly string[]): (name: string, hasSucceeded: boolean) => void {
    const jobs = new JobMetrics(names, this.#now);
    jobs.expose(this.#exposition);
    return (name, hasSucceeded) => jobs.ended(name, hasSucceeded);
  }

  watchMail(mail: MailView): void {
    exposeMail(this.#exposition, mail);
  }

  watchLeases<Name extends string>(leases: LeaseView<Name>): void {
    exposeLeases(this.#exposition, leases);
  }

  watch(resources: Resources): void {
    this.resources.expose(this.#exposition, resources, this.#now);
  }

  /** All metrics in Prometheus's text format, version 0.0.4. */
  async scrape(): Promise<string> {
    return [await this.#exposition.text(), await this.#process.metrics()].join('\n');
  }

  /** The same as plain data. */
  async toData(): Promise<readonly MetricData[]> {
    return [...(await this.#exposition.toData()), ...(await dataOf(this.#process))];
  }
}
