import type { Socket } from 'node:net';
import type { EntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery } from 'kysely';
import pg from 'pg';
import { Autocommit } from './autocommit.ts';
import { leavingSilently } from './pool-queue.ts';
import { abortOptionsOf, retryConflicts } from './transaction.ts';

const names = new Map<string, string>();

/** The name of a statement below by its text. */
export function nameOf(sql: string): string | undefined {
  return names.get(sql);
}

/** The values of a statement by the names of its parameters. Until all statements are named: in their order. */
type Values = object;

/**
 * A constant SQL statement with named parameters, prepared once per connection under its name, with every value bound.
 * `:userId` in the text stands for `values.userId`.
 *
 * The entity manager writes values into the SQL text: nothing is prepared, and hashes would appear in the database's
 * log. So the hot statements, and those that hold a hash, are written here, each beside the entity it is about. Given an
 * entity manager, a statement takes part in its transaction. Given an Autocommit it commits by itself, and is repeated on
 * 40001 and 40P01.
 *
 * Values that a function returns are read when the statement is sent, after the wait for a connection.
 */
export function statement<Row extends pg.QueryResultRow, Named extends Values = readonly unknown[]>(
  name: string,
  sql: string,
) {
  const { text, valuesOf } = compile(sql);
  const isRead = /^\s*select\b/i.test(text);
  names.set(text, name);
  return async (on: EntityManager | Autocommit, values: Named | (() => Named)): Promise<Row[]> => {
    const ordered = (): readonly unknown[] => {
      const given = typeof values === 'function' ? (values as () => Named)() : values;
      return Array.isArray(given) ? given : valuesOf(given as Readonly<Record<string, unknown>>);
    };
    if (on instanceof Autocommit)
      return retryConflicts(
        () => (isRead ? on.read<Row>(name, text, ordered()) : on.send<Row>(name, text, ordered)),
        name,
        on.signal,
      );
    const compiled = CompiledQuery.raw(text, [...ordered()]);
    const options = abortOptionsOf(on);
    const send = () => on.getKysely().executeQuery<Row>(compiled, options);
    return (await (options ? leavingSilently(options.signal, send) : send())).rows;
  };
}

/** PostgreSQL's spelling of a statement with named parameters: `$1` for the first name, and so on. */
export function compile(sql: string) {
  const parameters: string[] = [];
  // Neither a cast (`::text`) nor the bound of a slice (`[1:n]`).
  const text = sql.replace(/(?<![:\w\])]):([a-z]\w*)/gi, (_, parameter: string) => {
    if (!parameters.includes(parameter)) parameters.push(parameter);
    return `$${parameters.indexOf(parameter) + 1}`;
  });
  return {
    text,
    valuesOf: (values: Readonly<Record<string, unknown>>) => parameters.map((parameter) => values[parameter]),
  };
}

/**
 * The condition of being one of an array of uuids, for a statement to be planned once. PostgreSQL counts the elements of
 * a parameter that it can see: it would find a plan made for two of them better than the one for any number, and make it
 * anew each time, which costs more than to carry it out. Into a subquery it does not look.
 */
export const anyOf = (parameter: string): string => `any((select ${parameter}::uuid[])::uuid[])`;

/**
 * A client that sends the statements above by name. Everything else it sends as it came.
 *
 * It also sees to it that a connection that is of no use any more leaves the pool, where its place is needed.
 */
export class PreparingClient extends pg.Client {
  readonly #patience: number | undefined;

  constructor(config: pg.ClientConfig = {}) {
    super(config);
    // Its queries fail when it breaks; an error event that nobody hears would end the process. The pool hears its own
    // clients, but those that Kysely opens to cancel a query have nobody else.
    this.on('error', () => {});
    // PostgreSQL ends a statement after its timeout, and says so. When no word comes at all, the connection is dead.
    if (config.statement_timeout) this.#patience = Number(config.statement_timeout) + 1000;
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads; this one passes them all through.
  override query(...[text, values, ...rest]: any[]): any {
    const name = typeof text === 'string' ? names.get(text) : undefined;
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const query = super.query as (...all: any[]) => any;
    const answer = name ? query.call(this, { name, text, values }, ...rest) : query.call(this, text, values, ...rest);
    if (!(answer instanceof Promise)) return answer;
    if (this.#patience) this.#hangUpUnless(answer, this.#patience);
    return text === 'begin' || text === 'rollback' ? answer.catch(this.#giveUp) : answer;
  }

  /** Without this, connections that a network has forgotten would fill the pool until TCP gives up, in a quarter of an hour. */
  #hangUpUnless(answer: Promise<unknown>, patience: number): void {
    const { stream } = (this as unknown as { connection: { stream: Socket } }).connection;
    const timer = setTimeout(() => stream.destroy(), patience);
    const calm = () => clearTimeout(timer);
    answer.then(calm, calm);
  }

  /**
   * Takes this connection out of the pool. Kysely never gives one back whose `begin` or `rollback` failed: without this,
   * each transaction that a restart of the database cuts off would cost the pool a place for good.
   */
  readonly #giveUp = (error: Error): never => {
    (this as unknown as pg.PoolClient).release(error);
    throw error;
  };
}
