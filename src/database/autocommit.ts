import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { untilAborted } from './cancel-request.ts';
import type { DatabaseClient } from './client.ts';
import type { Connections } from './connections.ts';
import { PoolFull } from './fault.ts';
import { leavingWith, letCallsLeave } from './pool-queue.ts';
import { ReadPipeline } from './read-pipeline.ts';
import { type Confirming, faultOf } from './sqlstate.ts';
import { WriteFailures } from './write-failures.ts';

const pools = new WeakMap<MikroORM, pg.Pool>();
const opened = new WeakMap<MikroORM, Connections>();
const pipelines = new WeakMap<MikroORM, ReadPipeline>();
const failures = new WeakMap<MikroORM, WriteFailures>();

/** Remembers the ORM's connections, for statements that bypass the ORM. The pipeline closes with the pool. */
export function keepConnections(orm: MikroORM, pool: pg.Pool, connections: Connections, hasPipeline: boolean): void {
  tryAllHosts(pool, connections);
  letCallsLeave(pool);
  pools.set(orm, pool);
  failures.set(orm, new WriteFailures(pool));
  opened.set(orm, connections);
  if (!hasPipeline) return;
  const pipeline = new ReadPipeline(connections);
  pipelines.set(orm, pipeline);
  const end = pool.end.bind(pool) as () => Promise<void>;
  pool.end = (() => Promise.all([pipeline.close(), end()])) as unknown as typeof pool.end;
}

function tryAllHosts(pool: pg.Pool, { attempts }: Connections): void {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  pool.connect = (() =>
    pool.idleCount > pool.waitingCount
      ? connect()
      : attempts.open(() => waitBriefly(pool, connect))) as typeof pool.connect;
}

/** Milliseconds that a call waits for a connection that another call uses. */
const longestWait = 1000;

/** The pool has one timeout for opening a connection and for waiting until one is given back. */
function waitBriefly(pool: pg.Pool, connect: () => Promise<pg.PoolClient>): Promise<pg.PoolClient> {
  if (pool.totalCount < pool.options.max) return connect();
  const { options } = pool;
  const { connectionTimeoutMillis } = options;
  options.connectionTimeoutMillis = longestWait;
  const connected = connect();
  options.connectionTimeoutMillis = connectionTimeoutMillis;
  return connected.catch((error: Error) => {
    throw error.message.startsWith('timeout exceeded when trying') ? new PoolFull() : error;
  });
}

/** Sends later reads over the pool, like all other statements. */
export function closeReadPipeline(orm: MikroORM): void {
  void pipelines.get(orm)?.close();
  pipelines.delete(orm);
}

export function poolOf(orm: MikroORM): pg.Pool {
  return requireOpened(pools.get(orm));
}

export function writeFailuresOf(orm: MikroORM): WriteFailures {
  return requireOpened(failures.get(orm));
}

function requireOpened<T>(kept: T | undefined): T {
  if (!kept) throw new Error('not opened by openOrm');
  return kept;
}

export function connectionsOf(orm: MikroORM): Connections {
  return requireOpened(opened.get(orm));
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
    let broken: Error | undefined;
    try {
      const statement = () => client.query<Row>({ name, text, values: valuesOf() as unknown[], types: pg.types });
      const query = () => (isByIndex ? byIndex(client, statement) : statement());
      const { signal } = this;
      const result = await (signal ? untilAborted(client as unknown as DatabaseClient, signal, query) : query());
      return (client as pg.PoolClient & Confirming).requireConfirmed(result).rows;
    } catch (error) {
      if (faultOf(error) === 'unavailable') broken = error as Error;
      throw error;
    } finally {
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
