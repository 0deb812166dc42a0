import type { WorkerProcess } from './worker-process.ts';

/** Milliseconds between two pings. */
const interval = 1000;
/** Unanswered pings of a worker that is counted as hanging: longer than any pause of a hash or of a garbage collection. */
const mostUnanswered = 10;
/** The same before it is ready, while it loads its code. */
const mostAtStart = 60;

export interface WatchOptions {
  readonly workers: () => Iterable<WorkerProcess>;
  /** Receives a worker whose event loop is blocked, with the seconds that it has not responded for. */
  readonly onHang: (worker: WorkerProcess, seconds: number) => void;
}

/**
 * Pings the workers every second, until the returned function is called. Only pings count, never the clock: while the
 * machine or the primary was suspended no ping was sent, and every response is read before the next one.
 */
export function watchWorkers({ workers, onHang }: WatchOptions): () => void {
  const timer = setInterval(() => {
    for (const worker of [...workers()]) {
      // A worker that is to stop is killed by the limit of its stop.
      if (worker.isStopping) continue;
      const { unanswered } = worker.heartbeat;
      const most = worker.isReady ? mostUnanswered : mostAtStart;
      if (unanswered < most) worker.ping();
      else onHang(worker, (most * interval) / 1000);
    }
  }, interval);
  timer.unref();
  return () => clearInterval(timer);
}
