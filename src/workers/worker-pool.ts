import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Readiness } from '../rpc/readiness.ts';
import type { Ports } from './messages.ts';
import { WorkerMetrics } from './metrics.ts';
import { watchWorkers } from './watch.ts';
import { WorkerProcess } from './worker-process.ts';

export interface WorkerPoolOptions {
  readonly size: number;
  /** Added to the environment of the workers. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds that a worker may take to stop, before it is killed. */
  readonly patience: { readonly leaving: number; readonly replaced: number };
  readonly log: Logger;
}

/** The workers of one replica: started together, replaced when they end unexpectedly, restarted one by one. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #workers = new Set<WorkerProcess>();
  readonly #metrics = new WorkerMetrics(() => this.#live.length);
  #deathsInARow = 0;
  #isStopping = false;
  #restarting: Promise<void> = Promise.resolve();
  #isRestartDue = false;
  #endWatch = () => {};

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  get #live(): WorkerProcess[] {
    return [...this.#workers].filter(({ isReady, isResponsive }) => isReady && isResponsive);
  }

  /** Not ready without a ready worker: the kernel gives every connection to a worker that listens. */
  get readiness(): Readiness {
    const reported = this.#isStopping ? [] : this.#live.map(({ readiness }) => readiness);
    if (reported.includes('degraded')) return 'degraded';
    return reported.includes('ready') ? 'ready' : 'not ready';
  }

  /** Starts all workers. If one cannot start, the others are ended and its error is thrown. */
  async start(): Promise<Ports> {
    const workers = Array.from({ length: this.#options.size }, () => this.#fork());
    this.#endWatch = watchWorkers({ workers: () => this.#workers, onHang: (...found) => this.#abort(...found) });
    try {
      const [ports] = await Promise.all(workers.map(({ ready }) => ready));
      return ports!;
    } catch (error) {
      this.#isStopping = true;
      await Promise.all([...this.#workers].map((worker) => worker.kill()));
      throw error;
    }
  }

  /** Replaces every worker once its successor serves. A request during a restart causes one more restart. */
  restart(): void {
    if (this.#isRestartDue) return;
    this.#isRestartDue = true;
    this.#restarting = this.#restarting.then(() => this.#replaceAll());
  }

  /** Stops all workers at once: a worker that listened longer would only receive more calls. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const { leaving } = this.#options.patience;
    await Promise.all([...this.#workers].map((worker) => worker.stop(false, leaving)));
    this.#endWatch();
  }

  async scrape(): Promise<string> {
    await Promise.all([...this.#workers].map((worker) => worker.scrape()));
    return this.#metrics.scrape(() => [...this.#workers]);
  }

  #fork(): WorkerProcess {
    const worker = new WorkerProcess(this.#options.env);
    this.#workers.add(worker);
    const { id, pid } = worker;
    worker.ready.then(
      () => this.#options.log.info({ worker: id, pid }, 'a worker is ready'),
      () => {},
    );
    worker.ended.then(async ({ code, signal }) => {
      this.#workers.delete(worker);
      this.#metrics.keepEnded(worker.metrics);
      if (worker.isStopping || this.#isStopping) return;
      this.#metrics.deaths++;
      this.#options.log.error({ worker: id, pid, code, signal }, 'a worker has ended unexpectedly');
      await this.#replace(worker.seconds);
    });
    return worker;
  }

  #abort(worker: WorkerProcess, seconds: number): void {
    if (!worker.abort(`a worker did not respond for ${seconds} seconds and was killed`)) return;
    this.#metrics.hangs++;
    const { id, pid } = worker;
    this.#options.log.error({ worker: id, pid, seconds }, 'a worker does not respond and is killed');
  }

  /** Immediately, or after a wait that doubles while workers end within ten seconds of their start. */
  async #replace(lived: number): Promise<void> {
    this.#deathsInARow = lived > 10 ? 0 : this.#deathsInARow + 1;
    if (this.#deathsInARow > 1) await sleep(Math.min(30_000, 125 * 2 ** this.#deathsInARow));
    if (!this.#isStopping && this.#workers.size < this.#options.size) this.#fork();
  }

  async #replaceAll(): Promise<void> {
    this.#isRestartDue = false;
    const { log, patience } = this.#options;
    log.info('restarting');
    for (const old of [...this.#workers]) {
      if (this.#isStopping) return;
      if (!this.#workers.has(old)) continue;
      try {
        await this.#fork().ready;
      } catch (error) {
        log.error({ reason: (error as Error).message }, 'a new worker could not start; the running workers continue');
        return;
      }
      await old.stop(true, patience.replaced);
    }
    log.info('restarted');
  }
}
