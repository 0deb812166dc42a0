import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { testEnv } from '../../support/people.ts';
import { serve } from '../../support/process.ts';
import { type DatabaseProxy, startProxy } from '../../support/proxy.ts';
import type { Random } from './calls.ts';

interface Hurt {
  readonly replica: number;
  readonly from: number;
  to: number;
}

export interface ReplicaOptions {
  /** Whether the parent of the current refresh token is accepted again without its attempt id. */
  readonly replays: boolean;
  /** The file to run instead of src/main.ts. */
  readonly build?: string | undefined;
}

/** Two replicas of the service, each a process with a proxy before the database. */
export class Replicas {
  readonly database: TestDatabase;
  readonly proxies: readonly DatabaseProxy[];
  readonly replays: boolean;
  readonly #start: (proxy: DatabaseProxy) => ReturnType<typeof serve>;
  readonly #hurts: Hurt[] = [];
  #running: (Awaited<ReturnType<typeof serve>> | undefined)[] = [];

  private constructor(database: TestDatabase, proxies: readonly DatabaseProxy[], { replays, build }: ReplicaOptions) {
    this.database = database;
    this.proxies = proxies;
    this.replays = replays;
    const env = {
      MASTER_KEYS: testEnv.MASTER_KEYS,
      REFRESH_REUSE_INTERVAL: replays ? '60' : '0',
      DATABASE_POOL_SIZE: '8',
      LOG_LEVEL: 'info',
    };
    this.#start = (proxy) => serve({ ...env, DATABASE_URL: proxy.url(database) }, build);
  }

  static async start(options: ReplicaOptions): Promise<Replicas> {
    const database = await createDatabase();
    const replicas = new Replicas(database, [await startProxy(), await startProxy()], options);
    // One after the other: the first one creates the signing key.
    for (const proxy of replicas.proxies) replicas.#running.push(await replicas.#start(proxy));
    return replicas;
  }

  /** One that runs. */
  any(random: Random): number {
    const running = this.#running.flatMap((each, replica) => (each ? [replica] : []));
    return running[Math.floor(random() * running.length)]!;
  }

  clients(replica: number, wire: 'grpc' | 'json') {
    return this.#running[replica]!.clients[wire];
  }

  /** Kills a process, and starts another one in its place. The other replica has to run. */
  async killAndRestart(replica: number): Promise<void> {
    const running = this.#running[replica];
    if (!running || this.#running.includes(undefined)) return;
    await this.#hurt(replica, async () => {
      this.#running[replica] = undefined;
      await running.end('SIGKILL');
      this.#running[replica] = await this.#start(this.proxies[replica]!);
    });
  }

  /** Stops a process without its knowledge, as a virtual machine that is moved. */
  async pause(replica: number, sleep: () => Promise<unknown>): Promise<void> {
    const running = this.#running[replica];
    if (!running) return;
    await this.#hurt(replica, async () => {
      running.kill('SIGSTOP');
      await sleep();
      running.kill('SIGCONT');
    });
  }

  /** Resets the connections of a replica to the database. */
  async cut(replica: number): Promise<void> {
    await this.#hurt(replica, async () => this.proxies[replica]!.reset());
  }

  wasHurt(replica: number, from: number, to: number): boolean {
    return this.#hurts.some((each) => each.replica === replica && each.from <= to && each.to >= from);
  }

  async #hurt(replica: number, harm: () => Promise<void>): Promise<void> {
    const hurt = { replica, from: performance.now(), to: Number.POSITIVE_INFINITY };
    this.#hurts.push(hurt);
    await harm();
    hurt.to = performance.now();
  }
}
