import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

export interface Job {
  readonly name: string;
  /** Milliseconds between the end of a run and the next. */
  readonly every: number;
  readonly run: () => Promise<unknown>;
}

/** Runs jobs side by side, each again and again, until stopped. A run that fails is logged; the next one comes anyway. */
export function runInBackground(jobs: readonly Job[], log: Logger) {
  const stopping = new AbortController();
  const loops = jobs.map((job) => repeat(job, stopping.signal, log));
  return {
    /** Lets the runs under way end. */
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

async function repeat({ name, every, run }: Job, signal: AbortSignal, log: Logger): Promise<void> {
  for (;;) {
    await sleep(every, undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    try {
      await run();
    } catch (error) {
      log.warn({ job: name, error: (error as Error).name }, 'a background job failed');
    }
  }
}
