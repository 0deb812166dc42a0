import { type EntityManager, EntitySchema, JsonType, UnderscoreNamingStrategy } from '@mikro-orm/postgresql';
import { statement } from './statement.ts';

/** Properties whose value the inserting statement itself reads, as SQL for the row's project. */
export type ReadOnInsert = Readonly<Record<string, (projectId: string) => string>>;

type EntityClass = (abstract new () => object) & { readonly readOnInsert?: ReadOnInsert };
type Values = Readonly<Record<string, unknown>>;

interface Column {
  readonly property: string;
  readonly name: string;
  readonly isJson: boolean;
  readonly read: ReadOnInsert[string] | undefined;
}

interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly send: (em: EntityManager, values: Values) => Promise<unknown[]>;
  readonly sendIfFree: (em: EntityManager, values: Values) => Promise<unknown[]>;
}

const naming = new UnderscoreNamingStrategy();
const tables = new Map<EntityClass, Table>();

/**
 * Inserts one row immediately, by a prepared statement. Rows that nothing in the same transaction reads or refers to may
 * be persisted instead; the flush inserts them at its end.
 */
export async function insert(em: EntityManager, entity: object): Promise<void> {
  const { columns, send } = tableOf(entity.constructor as EntityClass);
  await send(em, valuesOf(entity, columns));
}

/** The same, unless a row with one of its unique values exists. Returns whether it was inserted. */
export async function insertIfFree(em: EntityManager, entity: object): Promise<boolean> {
  const { columns, sendIfFree } = tableOf(entity.constructor as EntityClass);
  return (await sendIfFree(em, valuesOf(entity, columns))).length === 1;
}

/** The row as one JSON value, for a statement with `insertRow` in its text. */
export function rowOf(entity: object): string {
  const row = entity as Values;
  const { columns } = tableOf(entity.constructor as EntityClass);
  return JSON.stringify(Object.fromEntries(columns.map(({ property, name }) => [name, textOf(row[property])])));
}

/** The same for several rows, for `insertRows`. */
export function rowsOf(entities: readonly object[]): string {
  return `[${entities.map(rowOf).join(',')}]`;
}

/**
 * SQL that inserts the row that `rowOf` wrote into the parameter `row`. Conditions may follow: they call the row `added`,
 * and `from` adds further tables to it.
 *
 * The statement names its columns, so a column that the next version adds gets its default while this version still runs.
 */
export function insertRow(entity: EntityClass, row: string, from?: string): string {
  return insertFrom(entity, `jsonb_populate_record(null::"${tableOf(entity).name}", ${row})`, from);
}

/** The same for a JSON array of such rows. */
export function insertRows(entity: EntityClass, rows: string, from?: string): string {
  return insertFrom(entity, `jsonb_populate_recordset(null::"${tableOf(entity).name}", ${rows})`, from);
}

function insertFrom(entity: EntityClass, source: string, from: string | undefined): string {
  const { name, columns } = tableOf(entity);
  const values = columns.map((each) => each.read?.('added.project_id') ?? `added."${each.name}"`).join(', ');
  return `insert into "${name}" (${namesOf(columns)}) select ${values} from ${source} added${from ? `, ${from}` : ''}`;
}

/** Reads the entity's definition: the ORM's metadata does not exist yet when statements are defined. */
function tableOf(entity: EntityClass): Table {
  const known = tables.get(entity);
  if (known) return known;
  const { tableName: name, properties } = EntitySchema.REGISTRY.get(entity)!.meta;
  const columns = Object.entries(properties).map(([property, definition]) => ({
    property,
    name: (definition as { fieldName?: string }).fieldName ?? naming.propertyToColumnName(property),
    isJson: (definition.type as unknown) === JsonType,
    read: entity.readOnInsert?.[property],
  }));
  const values = columns.map(({ property, read }) => read?.(':projectId') ?? `:${property}`).join(', ');
  const text = `insert into "${name}" (${namesOf(columns)}) values (${values})`;
  const table = {
    name,
    columns,
    send: statement<object, Values>(`insert_${name}`, text),
    sendIfFree: statement<object, Values>(`insert_${name}_if_free`, `${text} on conflict do nothing returning 1`),
  };
  tables.set(entity, table);
  return table;
}

function namesOf(columns: readonly Column[]): string {
  return columns.map((each) => `"${each.name}"`).join(', ');
}

function valuesOf(entity: object, columns: readonly Column[]): Values {
  const row = entity as Values;
  const bound = ({ property, isJson }: Column) => (isJson ? JSON.stringify(row[property]) : (row[property] ?? null));
  return Object.fromEntries(columns.map((each) => [each.property, bound(each)]));
}

function textOf(value: unknown): unknown {
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : value;
}
