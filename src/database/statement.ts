import type { EntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery } from 'kysely';
import type pg from 'pg';
import { Autocommit } from './autocommit.ts';
import { untilAborted } from './cancel-request.ts';
import { type ClientOptions, DatabaseClient } from './client.ts';
import { placeOf } from './connection-attempts.ts';
import { noteFault } from './fault.ts';
import { leavingSignal, leavingWith } from './pool-queue.ts';
import { type Confirming, hasLostStatements, UnconfirmedCommit } from './sqlstate.ts';
import { retryConflicts, signalOf } from './transaction.ts';
import type { Reporting } from './write-failures.ts';

const names = new Map<string, string>();

/** Every statement that has been defined: its name by its text. */
export const definedStatements: ReadonlyMap<string, string> = names;

const sharedReads = new Set<string>();

/** The names of the reads that share one connection. */
export const definedSharedReads: ReadonlySet<string> = sharedReads;

/** The name that a statement was defined with, by its text. */
export function nameOf(sql: string): string | undefined {
  return names.get(sql);
}

interface StatementOptions {
  /**
   * The statement is a read that shares one connection with the others in flight (`ReadPipeline`). Only for reads of a hot
   * path whose cost cannot grow: each of them delays all reads behind it.
   */
  readonly isSharedRead?: boolean;
  /**
   * The statement finds its rows by index, whatever PostgreSQL knows of its tables. For a queue: it may grow by a million
   * rows before they are counted, and a plan for an empty queue reads all of them. Only with an Autocommit.
   */
  readonly isByIndex?: boolean;
}

/**
 * A constant SQL statement with named parameters, prepared once per connection under its name, with every value bound.
 * `:userId` in the text stands for `values.userId`.
 *
 * Given an entity manager, the statement takes part in its transaction. Given an Autocommit it commits by itself, and is
 * repeated on 40001 and 40P01. The entity manager prepares nothing of its own, so hot statements are defined this way, each
 * beside the entity it reads or writes.
 *
 * Values that a function returns are read when the statement is sent, after the wait for a connection.
 */
export function statement<Row extends pg.QueryResultRow, Values extends object>(
  name: string,
  sql: string,
  { isSharedRead = false, isByIndex = false }: StatementOptions = {},
) {
  const { text, valuesOf } = compile(sql);
  names.set(text, name);
  if (isSharedRead) sharedReads.add(name);
  return async (on: EntityManager | Autocommit, values: Values | (() => Values)): Promise<Row[]> => {
    const ordered = () =>
      valuesOf((typeof values === 'function' ? values() : values) as Readonly<Record<string, unknown>>);
    if (on instanceof Autocommit)
      return retryConflicts(
        () => (isSharedRead ? on.read<Row>(name, text, ordered()) : on.send<Row>(name, text, ordered, isByIndex)),
        name,
        on.signal,
      );
    const compiled = CompiledQuery.raw(text, ordered());
    const signal = signalOf(on);
    const send = () => on.getKysely().executeQuery<Row>(compiled);
    return (await (signal ? leavingWith(signal, send) : send())).rows;
  };
}

/** PostgreSQL's spelling of a statement with named parameters: `$1` for the first name, and so on. */
export function compile(sql: string) {
  const parameters: string[] = [];
  // A cast (`::text`) and the bound of a slice (`[1:n]`) are no parameters.
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
 * The right side of `id = any(...)` for an array of uuids, in a form that keeps the generic plan. PostgreSQL counts the
 * elements of an array parameter, prefers a plan for that count, and plans the statement again each time, which costs more
 * than running it. It does not look into a subquery.
 */
export const anyOf = (parameter: string): string => `any((select ${parameter}::uuid[])::uuid[])`;

/**
 * A client that sends the statements above by name, and everything else unchanged. It also removes broken connections from
 * the pool, which would otherwise keep their places.
 */
export class PreparingClient extends DatabaseClient implements Confirming, Reporting {
  onFailure: (sqlstate: string) => void = () => {};
  readonly #patience: number | undefined;
  #isUnconfirmed = false;

  /** `statementTimeout` is in milliseconds; with 0 there is no timeout. */
  constructor(config: pg.ClientConfig, options: ClientOptions, statementTimeout: number) {
    super(config, options);
    // An error event without a listener would end the process. The pool listens to its own clients, but not to those that
    // Kysely opens to cancel a query. When a connection breaks, its queries fail anyway.
    this.on('error', () => {});
    // The name of PostgreSQL's function is part of the notice; its message is translated.
    this.on('notice', ({ code, routine }) => {
      if (code?.startsWith('01') && routine === 'SyncRepWaitForLSN') this.#isUnconfirmed = true;
    });
    // PostgreSQL ends a statement after its timeout and reports it. Without any response the connection is dead.
    if (statementTimeout) this.#patience = statementTimeout + 1000;
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads; this one passes them all through.
  override query(...[text, values, ...rest]: any[]): any {
    const name = typeof text === 'string' ? names.get(text) : undefined;
    this.#isUnconfirmed = false;
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const query = super.query as (...all: any[]) => any;
    const send = () =>
      name ? query.call(this, { name, text, values }, ...rest) : query.call(this, text, values, ...rest);
    // The ORM sends texts. A transaction that has begun to end is not interrupted.
    const signal = typeof text === 'string' && !/^(begin|commit|rollback)$/.test(text) ? leavingSignal() : undefined;
    const result = signal ? untilAborted(this, signal, send) : send();
    if (!(result instanceof Promise)) return result;
    this.#watch(result);
    if (text === 'commit') return result.then((committed) => this.requireConfirmed(committed));
    return text === 'begin' || text === 'rollback' ? result.catch(this.#leavePool) : result;
  }

  requireConfirmed<Result extends { rows: readonly unknown[] }>(result: Result): Result {
    if (!this.#isUnconfirmed) return result;
    const error = new UnconfirmedCommit(result.rows);
    this.onFailure(error.code);
    throw error;
  }

  #watch(result: Promise<unknown>): void {
    // Without this, connections that the network has dropped silently would fill the pool until TCP times out after 15
    // minutes.
    const timer = this.#patience ? setTimeout(() => this.stream.destroy(), this.#patience) : undefined;
    result.then(
      () => clearTimeout(timer),
      (error) => {
        clearTimeout(timer);
        const { host, port } = this.attempt;
        this.onFailure(String(error.code));
        noteFault(error, placeOf(host, port));
        // A pooler has moved this connection to a server that does not know our prepared statements, or has others.
        if (hasLostStatements(error)) this.discard();
      },
    );
  }

  /**
   * Removes this connection from the pool. Kysely never returns a connection whose `begin` or `rollback` failed: without
   * this, each transaction that a restart of the database interrupts would cost the pool a place permanently.
   */
  readonly #leavePool = (error: Error): never => {
    (this as unknown as pg.PoolClient).release(error);
    throw error;
  };
}
