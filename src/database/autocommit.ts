import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { cancelQuery, connectionOptions } from './cancel-query.ts';
import { leavingWith, letCallsLeave, letQueriesLeave } from './pool-queue.ts';
import type { ReadPipeline } from './read-pipeline.ts';
import { type Confirming, faultOf } from './sqlstate.ts';

const pools = new WeakMap<MikroORM, pg.Pool>();
const pipelines = new WeakMap<MikroORM, ReadPipeline>();

/** Remembers the ORM's connections, for statements that bypass the ORM. The pipeline closes with the pool. */
export function keepConnections(orm: MikroORM, pool: pg.Pool, pipeline?: ReadPipeline): void {
  letCallsLeave(pool);
  letQueriesLeave(orm);
  pools.set(orm, pool);
  if (!pipeline) return;
  pipelines.set(orm, pipeline);
  const end = pool.end.bind(pool) as () => Promise<void>;
  pool.end = (() => Promise.all([pipeline.close(), end()])) as unknown as typeof pool.end;
}

/** Sends later reads over the pool, like all other statements. */
export function closeReadPipeline(orm: MikroORM): void {
  void pipelines.get(orm)?.close();
  pipelines.delete(orm);
}

export function poolOf(orm: MikroORM): pg.Pool {
  const pool = pools.get(orm);
  if (!pool) throw new Error('not opened by openOrm');
  return pool;
}

/**
 * Runs single statements that commit by themselves, directly on the pool, at a third of what they cost through the ORM.
 * When the signal is aborted, the running statement is cancelled in the database.
 */
export class Autocommit {
  readonly #pool: pg.Pool;
  readonly #pipeline: ReadPipeline | undefined;
  readonly signal: AbortSignal | undefined;

  constructor(orm: MikroORM, signal?: AbortSignal) {
    this.#pool = poolOf(orm);
    this.#pipeline = pipelines.get(orm);
    this.signal = signal;
  }

  /** For a statement that changes nothing. It shares one connection with other reads in flight. */
  async read<Row extends pg.QueryResultRow>(name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
    this.signal?.throwIfAborted();
    const rows = (await this.#pipeline?.ask(name, text, values)) as Row[] | undefined;
    return rows ?? this.send(name, text, () => values);
  }

  /**
   * The values are read once there is a connection: what they depend on may change during the wait. For `isByIndex` see
   * `statement`.
   */
  async send<Row extends pg.QueryResultRow>(
    name: string,
    text: string,
    valuesOf: () => readonly unknown[],
    isByIndex = false,
  ): Promise<Row[]> {
    const client = await this.#connect();
    let cancelling: Promise<void> | undefined;
    const cancel = (): void => {
      cancelling = cancelQuery(client, 'pg_cancel_backend', connectionOptions(this.#pool));
    };
    this.signal?.addEventListener('abort', cancel, { once: true });
    let broken: Error | undefined;
    try {
      const query = () => client.query<Row>({ name, text, values: valuesOf() as unknown[], types: pg.types });
      const result = await (isByIndex ? byIndex(client, query) : query());
      return (client as pg.PoolClient & Confirming).requireConfirmed(result).rows;
    } catch (error) {
      if (faultOf(error) === 'unavailable') broken = error as Error;
      throw error;
    } finally {
      this.signal?.removeEventListener('abort', cancel);
      // Race: if the connection were returned earlier, the next call's statement might be cancelled.
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

/** The settings of the planner for one transaction. A plan that was prepared under them is kept. */
export const byIndexOnly = `select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`;

async function byIndex<Result>(client: pg.PoolClient, query: () => Promise<Result>): Promise<Result> {
  await client.query('begin');
  try {
    await client.query(byIndexOnly);
    const result = await query();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}
