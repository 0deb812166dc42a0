import type { EntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery } from 'kysely';
import pg from 'pg';
import { abortOptionsOf, retryConflicts } from './transaction.ts';

const names = new Map<string, string>();

/**
 * A constant SQL statement, prepared once per connection under its name, with every value bound.
 *
 * The entity manager writes values into the SQL text: nothing is prepared, and hashes would stand in the database's
 * logs. So the hot statements, and those that hold a hash, go this way, each beside the entity it speaks of. Inside a
 * transaction it takes part in it; outside, it commits by itself and repeats itself on 40001 and 40P01.
 */
export function statement<Row>(name: string, sql: string) {
  names.set(sql, name);
  return async (em: EntityManager, values: readonly unknown[]): Promise<Row[]> => {
    const options = abortOptionsOf(em);
    const run = () => em.getKysely().executeQuery<Row>(CompiledQuery.raw(sql, [...values]), options);
    const { rows } = em.isInTransaction() ? await run() : await retryConflicts(run, options?.signal);
    return rows;
  };
}

/** A client that sends the statements above by name. Everything else it sends as it came. */
export class PreparingClient extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads; this one passes them all through.
  override query(...[text, values, ...rest]: any[]): any {
    const name = typeof text === 'string' ? names.get(text) : undefined;
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const query = super.query as (...all: any[]) => any;
    return name ? query.call(this, { name, text, values }, ...rest) : query.call(this, text, values, ...rest);
  }
}
