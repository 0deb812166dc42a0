import type { Exposition, Series } from './exposition.ts';

/** How background jobs fare. */
export class JobMetrics {
  readonly #jobs = new Map<string, { failures: number; succeededAt: number | undefined }>();
  readonly #now: () => Date;

  constructor(names: readonly string[], now: () => Date) {
    for (const name of names) this.#jobs.set(name, { failures: 0, succeededAt: undefined });
    this.#now = now;
  }

  ended(name: string, isGood: boolean): void {
    const job = this.#jobs.get(name);
    if (!job) return;
    if (isGood) job.succeededAt = this.#now().getTime();
    else job.failures++;
  }

  // Not under `job`, which is Prometheus's own label of whatever it scrapes.
  expose(to: Exposition): void {
    to.counter('gatehouse_job_failures_total', 'Runs of background jobs that failed.', () =>
      [...this.#jobs].map(([name, { failures }]) => [{ name }, failures]),
    );
    to.gauge('gatehouse_job_last_success_timestamp_seconds', 'When a job last succeeded.', 'min', () =>
      [...this.#jobs].flatMap(([name, { succeededAt }]): Series<number>[] =>
        succeededAt === undefined ? [] : [[{ name }, succeededAt / 1000]],
      ),
    );
  }
}
