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

  expose(to: Exposition): void {
    to.counter('gatehouse_job_failures_total', 'Runs of background jobs that failed.', () =>
      [...this.#jobs].map(([job, { failures }]) => [{ job }, failures]),
    );
    to.gauge('gatehouse_job_last_success_timestamp_seconds', 'When a job last succeeded.', () =>
      [...this.#jobs].flatMap(([job, { succeededAt }]): Series<number>[] =>
        succeededAt === undefined ? [] : [[{ job }, succeededAt / 1000]],
      ),
    );
  }
}
