import type { DatabaseClient } from '../../database/client.ts';
import { Connections } from '../../database/connections.ts';
import { readLines } from '../lines.ts';
import { plainBytes } from './input.ts';
import { type BadRow, SqlDump, type TableRow } from './sql-dump.ts';
import type { TableSpec } from './system.ts';

/** Where the rows of tables come from. They can be read again, and another selection of them. */
export interface TableSource {
  rows(tables: readonly TableSpec[]): AsyncGenerator<TableRow | BadRow>;
  close(): Promise<void>;
}

const longestLine = 16 * 1_048_576;

/** The rows of a dump, which is read once for each selection. */
export function fileSource(open: () => AsyncIterable<Buffer>, all: readonly TableSpec[]): TableSource {
  return { rows: (tables) => selected(dumpedRows(open(), all), tables), close: async () => {} };
}

async function* selected(
  rows: AsyncIterable<TableRow | BadRow> | Iterable<TableRow | BadRow>,
  tables: readonly TableSpec[],
): AsyncGenerator<TableRow | BadRow> {
  const keys = new Set(tables.map(({ key }) => key));
  for await (const row of rows) if (keys.has(row.table)) yield row;
}

/** The rows of a stream. It can be read once only, so all of them are kept in memory. */
export function streamSource(bytes: AsyncIterable<Buffer>, all: readonly TableSpec[]): TableSource {
  let kept: Promise<(TableRow | BadRow)[]> | undefined;
  return {
    async *rows(tables) {
      kept ??= Array.fromAsync(dumpedRows(bytes, all));
      yield* selected(await kept, tables);
    },
    close: async () => {},
  };
}

async function* dumpedRows(
  bytes: AsyncIterable<Buffer>,
  tables: readonly TableSpec[],
): AsyncGenerator<TableRow | BadRow> {
  const byKey = new Map(tables.map((each) => [each.key, each]));
  const dump = new SqlDump((schema, name) => {
    const isNamed = ({ names }: TableSpec) =>
      names.some((each) => each.name === name && (each.schema === undefined || each.schema === schema));
    return tables.find(isNamed)?.key;
  });
  for await (const line of readLines(await plainBytes(bytes), longestLine))
    for (const row of dump.take(line)) yield 'why' in row ? row : projected(row, byKey.get(row.table)!);
  dump.end();
}

/** Only the columns that are read: a table may have many more, and the rows of some are kept. */
function projected(row: TableRow, { columns }: TableSpec): TableRow {
  const values = columns.filter((each) => Object.hasOwn(row.values, each)).map((each) => [each, row.values[each]]);
  return { ...row, values: Object.fromEntries(values) };
}

/** The rows of a database, all of one moment. */
export async function databaseSource(url: string): Promise<TableSource> {
  const connections = new Connections(url, { statementTimeout: 0, connectTimeout: 10 });
  // Most poolers refuse settings in the startup message.
  connections.settingsBy = 'role';
  const client = await connections.open();
  await client.query('begin isolation level repeatable read read only');
  await client.query('set local statement_timeout = 0');
  await client.query('set local idle_in_transaction_session_timeout = 0');
  return {
    async *rows(tables) {
      for (const table of tables) yield* selectedRows(client, table);
    },
    close: () => client.end(),
  };
}

const page = 1000;

async function* selectedRows(client: DatabaseClient, table: TableSpec): AsyncGenerator<TableRow> {
  const name = await existingName(client, table);
  if (name === undefined) return;
  await client.query(`declare imported no scroll cursor for select to_jsonb(t) as row from ${name} t`);
  let line = 0;
  for (;;) {
    const { rows } = await client.query<{ row: Record<string, unknown> }>(`fetch ${page} from imported`);
    for (const { row } of rows) yield projected({ table: table.key, line: ++line, values: row }, table);
    if (rows.length < page) break;
  }
  await client.query('close imported');
}

async function existingName(client: DatabaseClient, { names }: TableSpec): Promise<string | undefined> {
  for (const { schema, name } of names) {
    const full = [...(schema ? [schema] : []), name].map((each) => client.escapeIdentifier(each)).join('.');
    const { rows } = await client.query('select to_regclass($1) is not null as exists', [full]);
    if (rows[0]?.exists) return full;
  }
  return undefined;
}
