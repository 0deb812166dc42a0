import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { describeFault } from '../database/fault.ts';

export interface Job {
  readonly name: string;
  /** Milliseconds between the end of a run and the next. */
  readonly every: number;
  readonly run: () => Promise<unknown>;
  /** Whether a run has work. A run without any succeeds. */
  readonly isWanted?: () => boolean;
  /** Resolves when the next run should start earlier. */
  readonly nudged?: () => Promise<void>;
}

/** Called after every run. */
type Ended = (name: string, hasSucceeded: boolean) => void;
type CountJobs = (names: readonly string[]) => Ended;

/** Runs jobs concurrently, each repeatedly, until stopped. A failed run is logged and does not prevent the next one. */
export function runInBackground(jobs: readonly Job[], log: Logger, count: CountJobs = () => () => {}) {
  const stopping = new AbortController();
  const ended = count(jobs.map(({ name }) => name));
  const loops = jobs.map((job) => repeat(job, stopping.signal, log, ended));
  return {
    /** Waits for the running jobs to finish. */
    async stop(): Promise<void> {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

async function repeat(
  { name, every, run, isWanted, nudged }: Job,
  signal: AbortSignal,
  log: Logger,
  ended: Ended,
): Promise<void> {
  let nudge = nudged?.();
  for (;;) {
    await pause(every, nudge, signal);
    if (signal.aborted) return;
    // Race: asked for before the run, because a nudge during the run may come too late for it.
    nudge = nudged?.();
    try {
      if (isWanted?.() ?? true) await run();
      ended(name, true);
    } catch (error) {
      ended(name, false);
      log.warn({ job: name, error: (error as Error).name, ...describeFault(error) }, 'a background job failed');
    }
  }
}

/** Waits until the time is over, the job is nudged, or the scheduler stops. */
async function pause(milliseconds: number, nudge: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  const waiting = new AbortController();
  const over = sleep(milliseconds, undefined, { signal: AbortSignal.any([signal, waiting.signal]), ref: false });
  await Promise.race([over.catch(() => {}), ...(nudge ? [nudge] : [])]);
  waiting.abort();
}
