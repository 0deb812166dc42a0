import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { poolOf } from '../../src/database/autocommit.ts';
import { type DatabaseOptions, openOrm } from '../../src/database/orm.ts';
import { clusterPassword } from './cluster-password.ts';

/** How many rows may be deleted from a database that is used again: more leave a trace in its files and statistics. */
const mostRows = 2000;

const tables = `select relname::text as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition order by 1`;

// Whatever is created or altered is written by another transaction than the rest.
const schemaMark = `select md5(string_agg(part, ' ' order by part)) as mark from (
    select 'class ' || oid || ' ' || xmin as part from pg_class where oid >= 16384
    union all select 'column ' || attrelid || ' ' || attnum || ' ' || xmin from pg_attribute where attrelid >= 16384
    union all select 'constraint ' || oid || ' ' || xmin from pg_constraint where oid >= 16384
    union all select 'function ' || oid || ' ' || xmin from pg_proc where oid >= 16384
    union all select 'trigger ' || oid || ' ' || xmin from pg_trigger) parts`;

// A connection that has just been closed is there for a moment longer. Those of the ORMs that are kept are idle.
const awaitQuiet = `for i in 1..40 loop
      exit when not exists (select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and backend_type = 'client backend' and not (application_name = 'gatehouse' and state = 'idle'));
      assert i < 40, 'in use';
      perform pg_sleep(0.005);
      perform pg_stat_clear_snapshot();
    end loop;`;

// The tests' own connection sees what has been committed, also where the database is serializable by default.
const settings = `set default_transaction_isolation = 'read committed'`;

const spares: SpareDatabase[] = [];

/** A database as new: one that another test of this process has given back, or a clone of the template. */
export async function takeDatabase(host: string, isolation: string): Promise<SpareDatabase> {
  const index = spares.findIndex((each) => each.isolation === isolation);
  return index < 0 ? SpareDatabase.clone(host, isolation) : spares.splice(index, 1)[0]!;
}

/**
 * A clone of the template that the tests of one process use one after another, with the connections to it: cloning and
 * dropping a database takes some hundred milliseconds, and a new connection costs PostgreSQL more than most tests do.
 */
export class SpareDatabase {
  readonly name: string;
  readonly isolation: string;
  /** The tests' own connection. */
  readonly client: pg.Client;
  readonly #host: string;
  #mark = '';
  #kept: { readonly orm: MikroORM; readonly options: DatabaseOptions; isLent: boolean }[] = [];

  private constructor(host: string, isolation: string) {
    this.name = `t_${randomUUID().replaceAll('-', '')}`;
    this.isolation = isolation;
    this.#host = host;
    this.client = new pg.Client({ host, user: 'postgres', password: clusterPassword, database: this.name });
    this.client.on('error', () => {});
  }

  static async clone(host: string, isolation: string): Promise<SpareDatabase> {
    const clone = new SpareDatabase(host, isolation);
    const { name, client } = clone;
    await administer(host, `create database ${name} template tpl strategy file_copy`);
    if (isolation) await administer(host, `alter database ${name} set default_transaction_isolation = '${isolation}'`);
    await client.connect();
    unref(client);
    await client.query(settings);
    await client.query(await renewalOf(client));
    clone.#mark = (await client.query(schemaMark)).rows[0].mark;
    return clone;
  }

  get url(): string {
    return `postgresql://postgres:${clusterPassword}@${encodeURIComponent(this.#host)}:5432/${this.name}`;
  }

  /** An ORM that an earlier test has used, or a new one. Its `close` gives it back, and closes no connection. */
  async lendOrm(options: DatabaseOptions): Promise<MikroORM> {
    const idle = this.#kept.find((each) => !each.isLent && isDeepStrictEqual(each.options, options));
    if (idle) {
      idle.isLent = true;
      return idle.orm;
    }
    const orm = await openOrm(this.url, options);
    const kept = { orm, options, isLent: true };
    this.#kept.push(kept);
    orm.close = async () => {
      const pool = poolOf(orm);
      // Replicas put a stopwatch of their own before it.
      delete (pool as { connect?: unknown }).connect;
      if (pool.idleCount < pool.totalCount || pool.waitingCount > 0) await this.#close(kept.orm);
      else kept.isLent = false;
    };
    return orm;
  }

  /** Closes the connections that earlier tests have left. */
  async closeOrms(): Promise<void> {
    await Promise.all(this.#kept.map(({ orm }) => this.#close(orm)));
  }

  /** Makes it as new for the next test. One that its rows alone do not make new, or that is still in use, is dropped. */
  async giveBack(): Promise<void> {
    const isAsNew = await this.client.query(`reset all; ${settings}; select pg_temp.renew('${this.#mark}')`).then(
      () => true,
      () => false,
    );
    if (isAsNew) return void spares.push(this);
    await Promise.all([this.closeOrms(), this.client.end()]);
    await administer(this.#host, `drop database if exists ${this.name} with (force)`);
  }

  async #close(orm: MikroORM): Promise<void> {
    this.#kept = this.#kept.filter((each) => each.orm !== orm);
    Reflect.deleteProperty(orm, 'close');
    await orm.close(true);
  }
}

/** SQL that makes the function which makes the database as it is now, or fails where deleting rows does not. */
async function renewalOf(client: pg.Client): Promise<string> {
  const names: string[] = (await client.query(tables)).rows.map(({ name }) => name);
  const inserts: string[] = [];
  for (const name of names) {
    const [{ rows }] = (await client.query(`select jsonb_agg(to_jsonb(t))::text as rows from "${name}" t`)).rows;
    if (rows)
      inserts.push(
        `insert into "${name}" select * from jsonb_populate_recordset(null::"${name}", $rows$${rows}$rows$);`,
      );
  }
  const deletes = names.map(
    (name) => `delete from "${name}"; get diagnostics removed = row_count; total := total + removed;`,
  );
  return `create function pg_temp.renew(mark text) returns void language plpgsql as $renew$
    declare
      removed int;
      total int := 0;
    begin
      assert now() = statement_timestamp(), 'a transaction is open';
      assert mark = (${schemaMark}), 'another schema';
      ${awaitQuiet}
      perform set_config('session_replication_role', 'replica', true);
      ${deletes.join('\n      ')}
      assert total < ${mostRows}, 'many rows';
      ${inserts.join('\n      ')}
    end $renew$`;
}

let administrator: Promise<pg.Client> | undefined;

/** Over one connection for all tests of this process, which does not keep it alive. */
async function administer(host: string, sql: string): Promise<void> {
  administrator ??= connect(host);
  await (await administrator).query(sql);
}

async function connect(host: string): Promise<pg.Client> {
  const client = new pg.Client({ host, user: 'postgres', password: clusterPassword, database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  unref(client);
  return client;
}

/** Has a connection not keep the process alive. */
function unref(client: pg.Client): void {
  // Its types do not know it.
  (client as pg.Client & { unref(): void }).unref();
}
