import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Told } from '../telemetry/metrics/exposition.ts';
import type { FromWorker, Ports, ToWorker } from './messages.ts';

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

/** One worker, as the primary sees it. */
export class WorkerProcess {
  readonly #worker: Worker;
  readonly #startedAt = performance.now();
  readonly #ready = Promise.withResolvers<Ports>();
  #isReady = false;
  #isServing = false;
  #isTold = false;
  #metrics: readonly Told[] = [];
  #hearMetrics = Promise.withResolvers<void>();
  readonly ended: Promise<Ended>;

  constructor(env: Readonly<Record<string, string>>) {
    this.#worker = cluster.fork(env);
    this.#worker.on('message', (message: FromWorker) => this.#hear(message));
    this.#worker.on('error', () => {}); // nobody reads what we sent: it is ending, and we shall hear of that
    this.ended = this.#ending();
    this.#ready.promise.catch(() => {});
  }

  get id(): number {
    return this.#worker.id;
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  /** Rejects, with what the worker has to say about it, when it ends before. */
  get ready(): Promise<Ports> {
    return this.#ready.promise;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether it is ready and says that it can serve. */
  get isServing(): boolean {
    return this.#isServing;
  }

  /** Whether it ends because it was told to. */
  get isTold(): boolean {
    return this.#isTold;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** What it counted when it last told. */
  get metrics(): readonly Told[] {
    return this.#metrics;
  }

  /** Has it tell what it counts. One that is too busy to answer is waited for no longer than this. */
  async scrape(): Promise<void> {
    if (!this.#isReady) return;
    this.#tell({ kind: 'scrape' });
    await Promise.race([this.#hearMetrics.promise, this.ended, sleep(2000, undefined, { ref: false })]);
  }

  /** Lets it finish its calls for so many seconds, and waits until it has ended. */
  async stop(isReplaced: boolean, patience: number): Promise<void> {
    if (this.#isTold) return void (await this.ended);
    this.#isTold = true;
    if (!this.#isReady) return this.kill();
    this.#tell({ kind: 'stop', isReplaced });
    const impatience = setTimeout(() => this.kill(), patience * 1000);
    await this.ended;
    clearTimeout(impatience);
  }

  async kill(): Promise<void> {
    this.#isTold = true;
    this.#worker.process.kill('SIGKILL');
    await this.ended;
  }

  #tell(message: ToWorker): void {
    this.#worker.send(message, () => {});
  }

  #hear(message: FromWorker): void {
    if (message.kind === 'ready') {
      this.#isReady = this.#isServing = true;
      this.#ready.resolve(message);
    } else if (message.kind === 'failed') this.#ready.reject(new Error(message.sentence));
    else if (message.kind === 'health') this.#isServing = message.isServing;
    else {
      this.#metrics = message.metrics;
      this.#hearMetrics.resolve();
      this.#hearMetrics = Promise.withResolvers();
    }
  }

  /** Its last words may arrive after its exit; the end of the channel comes after both. */
  async #ending(): Promise<Ended> {
    const disconnected = new Promise<void>((resolve) => this.#worker.once('disconnect', resolve));
    const ended = await new Promise<Ended>((resolve) => {
      this.#worker.once('exit', (code, signal) => resolve({ code, signal }));
      // A process that the system would not make never exits.
      if (this.pid === undefined) resolve({ code: null, signal: null });
    });
    await disconnected;
    this.#isReady = this.#isServing = false;
    this.#ready.reject(new Error(`a worker has ended while it started (${ended.signal ?? ended.code})`));
    return ended;
  }
}
