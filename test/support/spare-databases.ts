import pg from 'pg';

/** The template that databases are cloned from: a mark of its schema, and all of its rows. */
export interface Template {
  readonly schema: string;
  /** JSON: for each table that has some, an array of rows. */
  readonly rows: string;
}

export const registry = 'create table spare_databases (name text primary key, isolation text not null)';

// A part of the schema that was changed since was written by another transaction than in the template, of which every
// clone is a copy to the byte.
const schema = `(select md5(string_agg(part, ' ' order by part)) from (
    select 'class ' || oid || ' ' || xmin as part from pg_class where oid >= 16384
    union all select 'column ' || attrelid || ' ' || attnum || ' ' || xmin from pg_attribute where attrelid >= 16384
    union all select 'constraint ' || oid || ' ' || xmin from pg_constraint where oid >= 16384
    union all select 'function ' || oid || ' ' || xmin from pg_proc where oid >= 16384
    union all select 'trigger ' || oid || ' ' || xmin from pg_trigger) parts)`;

const tables = `select relname::text as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`;

export async function readTemplate(host: string, database: string): Promise<Template> {
  const rows: Record<string, unknown> = {};
  for (const { name } of await ask(host, database, tables)) {
    const [found] = await ask(host, database, `select jsonb_agg(to_jsonb(t)) as rows from "${name}" t`);
    if (found!.rows) rows[name as string] = found!.rows;
  }
  const [read] = await ask(host, database, `select ${schema} as schema`);
  return { schema: read!.schema as string, rows: JSON.stringify(rows) };
}

/** Takes a database that another test has given back. Undefined when there is none. */
export async function takeSpare(host: string, isolation: string): Promise<string | undefined> {
  const [spare] = await administer(
    host,
    `delete from spare_databases where name =
       (select name from spare_databases where isolation = '${isolation}' limit 1 for update skip locked) returning name`,
  );
  return spare?.name as string | undefined;
}

/**
 * Gives a database back, as new, over the test's own connection to it, which this ends: cloning one takes some hundred
 * milliseconds, and dropping it as long. One that its rows alone do not make new, or that is still in use, is dropped.
 */
export async function giveBack(host: string, client: pg.Client, isolation: string, template: Template): Promise<void> {
  const name = client.database!;
  const isAsNew = await client.query(renewal(template)).then(
    () => true,
    () => false,
  );
  await client.end();
  const end = isAsNew
    ? `insert into spare_databases values ('${name}', '${isolation}')`
    : `drop database if exists ${name} with (force)`;
  await administer(host, end);
}

/** Fails where the database cannot be made new. Many rows would leave a trace in its files and statistics. */
const renewal = (template: Template): string => `do $renewal$
  declare
    kept jsonb := $rows$${template.rows}$rows$;
    each text;
    removed int;
    total int := 0;
  begin
    assert ${schema} = '${template.schema}', 'another schema';
    -- Who has just hung up is there for a moment longer.
    for i in 1..40 loop
      exit when not exists (select from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend');
      assert i < 40, 'in use';
      perform pg_sleep(0.005);
      perform pg_stat_clear_snapshot();
    end loop;
    set local session_replication_role = replica;
    for each in ${tables} loop
      execute format('delete from %I', each);
      get diagnostics removed = row_count;
      total := total + removed;
    end loop;
    assert total < 2000, 'many rows';
    for each in select jsonb_object_keys(kept) loop
      execute format('insert into %I select * from jsonb_populate_recordset(null::%1$I, $1)', each) using kept -> each;
    end loop;
  end $renewal$`;

async function ask(host: string, database: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ host, user: 'postgres', database });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

let administrator: Promise<pg.Client> | undefined;

/** Over one connection for all tests of this process, which does not keep it alive. */
export async function administer(host: string, sql: string): Promise<Record<string, unknown>[]> {
  administrator ??= connect(host);
  return (await (await administrator).query(sql)).rows;
}

async function connect(host: string): Promise<pg.Client> {
  const client = new pg.Client({ host, user: 'postgres', database: 'postgres' });
  await client.connect();
  client.on('error', () => {});
  // Its types do not know it.
  (client as pg.Client & { unref(): void }).unref();
  return client;
}
