import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Ports } from './messages.ts';
import { CrewMetrics } from './metrics.ts';
import { WorkerProcess } from './worker-process.ts';

export interface WorkerPoolOptions {
  readonly size: number;
  /** What the workers are told beyond our own environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds that a worker may take to stop, before it is killed. */
  readonly patience: { readonly leaving: number; readonly replaced: number };
  readonly log: Logger;
}

/** The workers of one replica: started together, replaced when they die, restarted one by one. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #workers = new Set<WorkerProcess>();
  readonly #metrics = new CrewMetrics(() => this.#live.length);
  #deathsInARow = 0;
  #isStopping = false;
  #restarting: Promise<void> = Promise.resolve();
  #isRestartDue = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  get #live(): WorkerProcess[] {
    return [...this.#workers].filter(({ isReady }) => isReady);
  }

  /** Whether one worker at least can serve: the kernel gives every connection to some worker that listens. */
  get isServing(): boolean {
    return !this.#isStopping && this.#live.some(({ isServing }) => isServing);
  }

  /** All or none: when one cannot start, the others end and it throws why. */
  async start(): Promise<Ports> {
    const workers = Array.from({ length: this.#options.size }, () => this.#fork());
    try {
      const [ports] = await Promise.all(workers.map(({ ready }) => ready));
      return ports!;
    } catch (error) {
      this.#isStopping = true;
      await Promise.all([...this.#workers].map((worker) => worker.kill()));
      throw error;
    }
  }

  /** Replaces every worker, each when its successor serves. Asked again meanwhile, it does so once more. */
  restart(): void {
    if (this.#isRestartDue) return;
    this.#isRestartDue = true;
    this.#restarting = this.#restarting.then(() => this.#replaceAll());
  }

  /** All at once: the whole replica leaves, and who listens longer only gets more calls to finish. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const { leaving } = this.#options.patience;
    await Promise.all([...this.#workers].map((worker) => worker.stop(false, leaving)));
  }

  async scrape(): Promise<string> {
    await Promise.all([...this.#workers].map((worker) => worker.scrape()));
    return this.#metrics.scrape(() => [...this.#workers].map(({ metrics }) => metrics));
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
      this.#metrics.depart(worker.metrics);
      if (worker.isTold || this.#isStopping) return;
      this.#metrics.deaths++;
      this.#options.log.error({ worker: id, pid, code, signal }, 'a worker has died');
      await this.#heal(worker.seconds);
    });
    return worker;
  }

  /** At once for a worker that has died after a while; those that die young are replaced ever more slowly. */
  async #heal(lived: number): Promise<void> {
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
        log.error({ reason: (error as Error).message }, 'a new worker could not start; those that serve go on');
        return;
      }
      await old.stop(true, patience.replaced);
    }
    log.info('restarted');
  }
}
