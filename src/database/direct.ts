import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { faultOf } from './faults.ts';

const pools = new WeakMap<MikroORM, pg.Pool>();

/** Remembers the ORM's connection pool, for what goes past the ORM. */
export function keepPool(orm: MikroORM, pool: pg.Pool): void {
  pools.set(orm, pool);
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
export class Direct {
  readonly #pool: pg.Pool;
  readonly signal: AbortSignal | undefined;

  constructor(orm: MikroORM, signal?: AbortSignal) {
    this.#pool = poolOf(orm);
    this.signal = signal;
  }

  async send<Row extends pg.QueryResultRow>(name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
    this.signal?.throwIfAborted();
    const client = await this.#pool.connect();
    let cancelling: Promise<void> | undefined;
    const cancel = (): void => {
      cancelling = cancelQuery(client, this.#pool.options);
    };
    this.signal?.addEventListener('abort', cancel, { once: true });
    let broken: Error | undefined;
    try {
      return (await client.query<Row>({ name, text, values: values as unknown[], types: pg.types })).rows;
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
}

/** Cancels over a connection of its own. Whatever becomes of it, the statement itself will tell. */
async function cancelQuery(client: pg.PoolClient, options: pg.PoolConfig): Promise<void> {
  const { processID } = client as unknown as { processID: number };
  const Client = options.Client as typeof pg.Client;
  // The password is not enumerable in the pool's options.
  const messenger = new Client({ ...options, password: options.password });
  try {
    await messenger.connect();
    await messenger.query('select pg_cancel_backend($1)', [processID]);
  } catch {
  } finally {
    // Over a connection that has fallen silent this would wait for ever.
    void messenger.end().catch(() => {});
  }
}
