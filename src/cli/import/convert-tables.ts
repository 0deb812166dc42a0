import type { TableRow } from './sql-dump.ts';
import type { Converted, ConvertOptions, Related, TableSpec, TableSystem, Unreadable } from './system.ts';
import type { TableSource } from './table-source.ts';

type Rows = Map<string, TableRow[]>;

/** The users in the tables of a system, each with what belongs to them. Throws when there are none. */
export async function* convertTables(
  source: TableSource,
  { tables, convert }: TableSystem,
  options: ConvertOptions,
): AsyncGenerator<Converted | Unreadable> {
  const users = tables.filter(({ key }) => key === 'users');
  const others = tables.filter(({ key }) => key !== 'users');
  const byOwner: Rows = new Map();
  const shared: Rows = new Map();
  for await (const row of source.rows(others))
    if ('why' in row) yield { line: row.line, why: `${row.table}: ${row.why}`, isStray: true };
    else keep(row, others.find(({ key }) => key === row.table)!, byOwner, shared);
  let found = false;
  for await (const row of source.rows(users)) {
    found = true;
    if ('why' in row) {
      yield row;
      continue;
    }
    const owner = ownerOf(row, ['id']);
    const own = byOwner.get(owner) ?? [];
    byOwner.delete(owner);
    yield convert(row, relatedOf(own, shared), options);
  }
  if (!found) throw new Error(`it has no rows of ${users[0]!.names.map(fullName).join(' or ')}`);
  yield* strays(byOwner);
}

function fullName({ schema, name }: TableSpec['names'][number]): string {
  return schema ? `${schema}.${name}` : name;
}

function keep(row: TableRow, { owner }: TableSpec, byOwner: Rows, shared: Rows): void {
  const [rows, key] = owner ? [byOwner, ownerOf(row, owner)] : [shared, row.table];
  const known = rows.get(key);
  if (known) known.push(row);
  else rows.set(key, [row]);
}

function ownerOf({ values }: TableRow, columns: readonly string[]): string {
  const value = columns.map((each) => values[each]).find((each) => each !== null && each !== undefined);
  return String(value ?? '');
}

function relatedOf(own: readonly TableRow[], shared: Rows): Related {
  return { of: (key) => own.filter(({ table }) => table === key), all: (key) => shared.get(key) ?? [] };
}

/** The rows whose users are missing. */
function* strays(byOwner: Rows): Generator<Converted> {
  for (const [user, rows] of byOwner)
    for (const { line, table } of rows)
      yield { line, user, left: [{ kind: 'row without its user', line, why: `of ${table}` }], isStray: true };
}
