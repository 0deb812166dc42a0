import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

export interface Job {
  readonly name: string;
  /** Milliseconds between the end of a run and the next. */
  readonly every: number;
  readonly run: () => Promise<unknown>;
  /** Resolves when the next run should not wait that long. */
  readonly nudged?: () => Promise<void>;
}

/** Hears of every run that has ended, well or not. */
type Ended = (name: string, isGood: boolean) => void;
type CountJobs = (names: readonly string[]) => Ended;

/** Runs jobs side by side, each again and again, until stopped. A run that fails is logged; the next one comes anyway. */
export function runInBackground(jobs: readonly Job[], log: Logger, count: CountJobs = () => () => {}) {
  const stopping = new AbortController();
  const ended = count(jobs.map(({ name }) => name));
  const loops = jobs.map((job) => repeat(job, stopping.signal, log, ended));
  return {
    /** Lets the runs under way end. */
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

async function repeat(
  { name, every, run, nudged }: Job,
  signal: AbortSignal,
  log: Logger,
  ended: Ended,
): Promise<void> {
  let nudge = nudged?.();
  for (;;) {
    await pause(every, nudge, signal);
    if (signal.aborted) return;
    // Asked for before the run: what comes while it runs may have come too late for it.
    nudge = nudged?.();
    try {
      await run();
      ended(name, true);
    } catch (error) {
      ended(name, false);
      log.warn({ job: name, error: (error as Error).name }, 'a background job failed');
    }
  }
}

/** Until the time is over, somebody nudges, or everything stops. */
async function pause(milliseconds: number, nudge: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  const waiting = new AbortController();
  const over = sleep(milliseconds, undefined, { signal: AbortSignal.any([signal, waiting.signal]), ref: false });
  await Promise.race([over.catch(() => {}), ...(nudge ? [nudge] : [])]);
  waiting.abort();
}
