import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Readiness } from '../rpc/readiness.ts';
import type { MetricData } from '../telemetry/metrics/exposition.ts';
import { Heartbeat } from './heartbeat.ts';
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
  #readiness: Readiness = 'not ready';
  #isStopping = false;
  #isKilled = false;
  #metrics: readonly MetricData[] = [];
  #nextMetrics = Promise.withResolvers<void>();
  readonly heartbeat = new Heartbeat();
  readonly ended: Promise<Ended>;

  constructor(env: Readonly<Record<string, string>>) {
    this.#worker = cluster.fork(env);
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', () => {}); // a message was sent to a worker that is ending
    this.ended = this.#ending();
    this.#ready.promise.catch(() => {});
  }

  get id(): number {
    return this.#worker.id;
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  /** Rejects with the worker's message when it ends before it is ready. */
  get ready(): Promise<Ports> {
    return this.#ready.promise;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** What it has reported. */
  get readiness(): Readiness {
    return this.#readiness;
  }

  /** Whether it ends because the primary stops it. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  get isResponsive(): boolean {
    return this.heartbeat.isResponsive;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** Its metrics as of the last message. */
  get metrics(): readonly MetricData[] {
    return this.#metrics;
  }

  /** Asks for its metrics, and waits at most two seconds for a worker that is too busy to respond. */
  async scrape(): Promise<void> {
    if (!this.#isReady || !this.isResponsive) return;
    this.#send({ kind: 'scrape' });
    await Promise.race([this.#nextMetrics.promise, this.ended, sleep(2000, undefined, { ref: false })]);
  }

  /** Lets it finish its calls, and waits until it has ended. It is killed after `patience` seconds. */
  async stop(isReplaced: boolean, patience: number): Promise<void> {
    if (this.#isStopping) return void (await this.ended);
    this.#isStopping = true;
    if (!this.#isReady) return this.kill();
    this.#send({ kind: 'stop', isReplaced });
    const impatience = setTimeout(() => this.kill(), patience * 1000);
    await this.ended;
    clearTimeout(impatience);
  }

  ping(): void {
    this.heartbeat.pinged();
    this.#send({ kind: 'ping' });
  }

  /** Kills it as a failure: unlike one that was to stop, it counts as a death and is replaced. Returns false if done before. */
  abort(sentence: string): boolean {
    if (this.#isKilled) return false;
    this.#isKilled = true;
    this.#ready.reject(new Error(sentence));
    return this.#worker.process.kill('SIGKILL');
  }

  async kill(): Promise<void> {
    this.#isStopping = true;
    this.#worker.process.kill('SIGKILL');
    await this.ended;
  }

  #send(message: ToWorker): void {
    this.#worker.send(message, () => {});
  }

  #receive(message: FromWorker): void {
    if (message.kind === 'ready') {
      this.#isReady = true;
      this.#readiness = 'ready';
      this.#ready.resolve(message);
    } else if (message.kind === 'pong') this.heartbeat.responded();
    else if (message.kind === 'failed') this.#ready.reject(new Error(message.sentence));
    else if (message.kind === 'health') this.#readiness = message.readiness;
    else {
      this.#metrics = message.metrics;
      this.#nextMetrics.resolve();
      this.#nextMetrics = Promise.withResolvers();
    }
  }

  /**
   * Its last message may arrive after its exit. `close` comes after both. `disconnect` would as well, but Node does not emit
   * it for some workers that are killed during their start.
   */
  async #ending(): Promise<Ended> {
    const ended = await new Promise<Ended>((resolve) => {
      this.#worker.process.once('close', (code, signal) => resolve({ code, signal }));
      // A process that could not be created never closes.
      if (this.pid === undefined) resolve({ code: null, signal: null });
    });
    this.#isReady = false;
    this.#readiness = 'not ready';
    this.#ready.reject(new Error(`a worker ended during its start (${ended.signal ?? ended.code})`));
    return ended;
  }
}
