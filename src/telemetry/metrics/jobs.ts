import type { Exposition, Series } from './exposition.ts';

/** Failures and successes of background jobs. */
export class JobMetrics {
  readonly #jobs = new Map<string, { failures: number; succeededAt: number | undefined }>();
  readonly #now: () => Date;

  constructor(names: readonly string[], now: () => Date) {
    for (const name of names) this.#jobs.set(name, { failures: 0, succeededAt: undefined });
    this.#now = now;
  }

  ended(name: string, hasSucceeded: boolean): void {
    const job = this.#jobs.get(name);
    if (!job) return;
    if (hasSucceeded) job.succeededAt = this.#now().getTime();
    else job.failures++;
  }

  // The label is not `job`, which Prometheus itself sets.
  expose(to: Exposition): void {
    to.counter('gatehouse_job_failures_total', 'Runs of background jobs that failed.', () =>
      [...this.#jobs].map(([name, { failures }]) => [{ name }, failures]),
    );
    to.gauge('gatehouse_job_last_success_timestamp_seconds', 'Time of the last successful run.', 'min', () =>
      [...this.#jobs].flatMap(([name, { succeededAt }]): Series<number>[] =>
        succeededAt === undefined ? [] : [[{ name }, succeededAt / 1000]],
      ),
    );
  }
}
