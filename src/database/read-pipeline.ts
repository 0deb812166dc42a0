import type { Socket } from 'node:net';
import pg from 'pg';
import { cancelQuery } from './cancel-query.ts';

type Rows = readonly pg.QueryResultRow[];

/** Milliseconds after which what goes in and does not come out is taken elsewhere. */
const patience = 100;
/** Milliseconds until another connection is tried after one has failed. */
const pause = 1000;

/**
 * One connection that many reads share: each is sent at once, without waiting for the answers to those before it. That
 * spares both sides most of their system calls, which cost more than finding a row.
 *
 * It promises nothing. A read that gets no answer here, because it failed, because the connection broke, or because one
 * before it waits for a lock, is told so within `patience`, and its caller asks again over a connection of its own. So it
 * is for statements that change nothing, and nobody is worse off for having tried.
 */
export class ReadPipeline {
  readonly #options: pg.ClientConfig;
  readonly #waiting = new Set<() => void>();
  #client: pg.Client | undefined;
  #isOpening = false;
  #openAgainAt = -Infinity;
  #isClosed = false;
  #answered = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: pg.ClientConfig) {
    this.#options = options;
  }

  /** The rows, or undefined when there is no answer. */
  ask(name: string, text: string, values: readonly unknown[]): Promise<Rows | undefined> {
    const client = this.#client;
    if (!client) {
      void this.#open();
      return Promise.resolve(undefined);
    }
    return new Promise((resolve) => {
      const giveUp = (): void => resolve(undefined);
      this.#waiting.add(giveUp);
      this.#watch ??= this.#lookAfter(this.#answered);
      this.#gather(client);
      const settle = (rows: Rows | undefined): void => {
        this.#answered++;
        this.#waiting.delete(giveUp);
        resolve(rows);
      };
      client.query({ name, text, values: values as unknown[], types: pg.types }).then(
        ({ rows }) => settle(rows),
        () => settle(undefined),
      );
    });
  }

  /** Holds back what is sent in this turn of the event loop until its end: it leaves in one write. */
  #gather(client: pg.Client): void {
    const stream = streamOf(client);
    if (stream.writableCorked > 0) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client;
    if (this.#waiting.size > 0) return this.#destroy();
    this.#abandon();
    await client?.end().catch(() => {});
  }

  async #open(): Promise<void> {
    if (this.#isOpening || this.#isClosed || performance.now() < this.#openAgainAt) return;
    this.#isOpening = true;
    const client = new pg.Client({ ...this.#options, pipeline: true } as pg.ClientConfig);
    client.on('error', () => this.#drop(client));
    client.on('end', () => this.#drop(client));
    try {
      await client.connect();
      if (this.#isClosed) await client.end();
      else this.#client = client;
    } catch {
      this.#openAgainAt = performance.now() + pause;
    } finally {
      this.#isOpening = false;
    }
  }

  /** Looks again and again, while there are reads under way, whether any has been answered meanwhile. */
  #lookAfter(answeredBefore: number): NodeJS.Timeout {
    // Whatever has arrived is read first: it may be this process that was slow.
    const look = (): void => void setImmediate(() => this.#look(answeredBefore));
    return setTimeout(look, patience).unref();
  }

  #look(answeredBefore: number): void {
    this.#watch = undefined;
    if (this.#waiting.size === 0) return;
    if (this.#answered === answeredBefore) this.#destroy();
    else this.#watch = this.#lookAfter(this.#answered);
  }

  #destroy(): void {
    const client = this.#client;
    this.#openAgainAt = performance.now() + pause;
    this.#abandon();
    if (!client) return;
    // PostgreSQL would go on waiting, and then answer to nobody.
    void cancelQuery(client, 'pg_terminate_backend', this.#options);
    streamOf(client).destroy();
  }

  #drop(client: pg.Client): void {
    if (this.#client === client) this.#abandon();
  }

  #abandon(): void {
    this.#client = undefined;
    clearTimeout(this.#watch);
    this.#watch = undefined;
    for (const giveUp of this.#waiting) giveUp();
    this.#waiting.clear();
  }
}

function streamOf(client: pg.Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}
