import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { cancelQuery, connectionOptions } from './cancel-query.ts';
import { leavingWith, letCallsLeave, letQueriesLeave } from './pool-queue.ts';
import type { ReadPipeline } from './read-pipeline.ts';
import { faultOf } from './sqlstate.ts';

const pools = new WeakMap<MikroORM, pg.Pool>();
const pipes = new WeakMap<MikroORM, ReadPipeline>();

/** Remembers the ORM's connections, for what goes past the ORM. The pipe ends with the pool. */
export function keepConnections(orm: MikroORM, pool: pg.Pool, pipe?: ReadPipeline): void {
  letCallsLeave(pool);
  letQueriesLeave(orm);
  pools.set(orm, pool);
  if (!pipe) return;
  pipes.set(orm, pipe);
  const end = pool.end.bind(pool) as () => Promise<void>;
  pool.end = (() => Promise.all([pipe.close(), end()])) as unknown as typeof pool.end;
}

/** Has reads take their turns on the pool like everything else. */
export function closeReadPipeline(orm: MikroORM): void {
  void pipes.get(orm)?.close();
  pipes.delete(orm);
}

export function poolOf(orm: MikroORM): pg.Pool {
  const pool = pools.get(orm);
  if (!pool) throw new Error('not opened by openOrm');
  return pool;
}

/**
 * Where a single statement runs that commits by itself: straight on the pool, at a third of the cost of going through the
 * ORM. When the signal is aborted the statement is cancelled in the database.
 */
export class Autocommit {
  readonly #pool: pg.Pool;
  readonly #pipe: ReadPipeline | undefined;
  readonly signal: AbortSignal | undefined;

  constructor(orm: MikroORM, signal?: AbortSignal) {
    this.#pool = poolOf(orm);
    this.#pipe = pipes.get(orm);
    this.signal = signal;
  }

  /** For a statement that changes nothing. It shares a connection with others of its kind while those are answered. */
  async read<Row extends pg.QueryResultRow>(name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
    this.signal?.throwIfAborted();
    return ((await this.#pipe?.ask(name, text, values)) as Row[] | undefined) ?? this.send(name, text, () => values);
  }

  /** The values are read once there is a connection: what they depend on may change during the wait. */
  async send<Row extends pg.QueryResultRow>(
    name: string,
    text: string,
    valuesOf: () => readonly unknown[],
  ): Promise<Row[]> {
    const client = await this.#connect();
    let cancelling: Promise<void> | undefined;
    const cancel = (): void => {
      cancelling = cancelQuery(client, 'pg_cancel_backend', connectionOptions(this.#pool));
    };
    this.signal?.addEventListener('abort', cancel, { once: true });
    let broken: Error | undefined;
    try {
      const values = valuesOf() as unknown[];
      return (await client.query<Row>({ name, text, values, types: pg.types })).rows;
    } catch (error) {
      if (faultOf(error) === 'unavailable') broken = error as Error;
      throw error;
    } finally {
      this.signal?.removeEventListener('abort', cancel);
      // Given back earlier, the connection might have the next call's statement cancelled.
      if (cancelling) await cancelling;
      client.release(broken);
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    this.signal?.throwIfAborted();
    const client = await leavingWith(this.signal, () => this.#pool.connect());
    if (!this.signal?.aborted) return client;
    client.release();
    throw this.signal.reason;
  }
}
