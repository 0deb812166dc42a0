import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Slots } from '../slots.ts';
import { cancelStatement } from './cancel-request.ts';
import type { DatabaseClient } from './client.ts';
import type { Connections } from './connections.ts';
import { hasLostStatements } from './sqlstate.ts';

type Rows = readonly pg.QueryResultRow[];

/** Milliseconds without any response after which the connection is given up. */
const patience = 100;
/** Milliseconds until a new connection is opened after one has failed. */
const pause = 1000;

/**
 * One connection that many reads share. Each read is sent immediately, without waiting for the responses before it, which
 * saves both sides most of their system calls: those cost more than finding a row.
 *
 * A read may return no response: because it failed, because the connection broke, or because an earlier read waits for a
 * lock. It then resolves to undefined within twice `patience`, and the caller sends it again over the pool. So only
 * statements that change nothing may be sent this way.
 */
export class ReadPipeline {
  readonly #connections: Connections;
  #waiting = new Slots<() => void>();
  #client: DatabaseClient | undefined;
  #isOpening = false;
  #openAgainAt = -Infinity;
  #isClosed = false;
  #responses = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** The rows, or undefined when there is no response. */
  ask(name: string, text: string, values: readonly unknown[]): Promise<Rows | undefined> {
    const client = this.#client;
    if (!client) {
      void this.#open();
      return Promise.resolve(undefined);
    }
    return new Promise((resolve) => {
      const giveUp = (): void => resolve(undefined);
      const waiting = this.#waiting;
      const slot = waiting.add(giveUp);
      this.#watch ??= this.#checkLater(this.#responses);
      this.#cork(client);
      const settle = (rows: Rows | undefined): void => {
        this.#responses++;
        waiting.remove(slot);
        resolve(rows);
      };
      client.query({ name, text, values: values as unknown[], types: pg.types }).then(
        ({ rows }) => settle(rows),
        (error) => {
          settle(undefined);
          if (hasLostStatements(error)) this.#destroy();
        },
      );
    });
  }

  /** Holds back the statements of this turn of the event loop until its end, so that they leave in one write. */
  #cork(client: DatabaseClient): void {
    const { stream } = client;
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
    try {
      const client = await this.#connections.open({ pipeline: true });
      client.on('error', () => this.#drop(client));
      client.on('end', () => this.#drop(client));
      if (this.#isClosed) await client.end();
      else this.#client = client;
    } catch {
      this.#openAgainAt = performance.now() + pause;
    } finally {
      this.#isOpening = false;
    }
  }

  /** Checks repeatedly, while reads are in flight, that responses arrive. */
  #checkLater(responsesBefore: number): NodeJS.Timeout {
    // Data that has arrived is read first, because this process itself may have been slow.
    const check = (): void => void setImmediate(() => this.#check(responsesBefore));
    return setTimeout(check, patience).unref();
  }

  #check(responsesBefore: number): void {
    this.#watch = undefined;
    if (this.#waiting.size === 0) return;
    if (this.#responses === responsesBefore) this.#destroy();
    else this.#watch = this.#checkLater(this.#responses);
  }

  #destroy(): void {
    const client = this.#client;
    this.#openAgainAt = performance.now() + pause;
    this.#abandon();
    if (!client) return;
    client.stream.destroy();
    void endBackend(client);
  }

  #drop(client: DatabaseClient): void {
    if (this.#client === client) this.#abandon();
  }

  #abandon(): void {
    this.#client = undefined;
    clearTimeout(this.#watch);
    this.#watch = undefined;
    const waiting = this.#waiting;
    // Their slots are emptied later, when their queries fail.
    this.#waiting = new Slots();
    waiting.forEach((giveUp) => {
      giveUp();
    });
  }
}

/**
 * Cancels what the backend of a closed connection waits for, for example a lock. It notices that the connection is closed
 * when it sends the failure, or only when it sends that of the read after it.
 */
async function endBackend(client: DatabaseClient): Promise<void> {
  await cancelStatement(client);
  await sleep(pause / 10);
  await cancelStatement(client);
}
