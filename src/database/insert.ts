import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from './statement.ts';

interface Column {
  /** Of the property. */
  readonly name: string;
  readonly column: string;
  readonly isJson: boolean;
}

interface Insert {
  readonly properties: readonly Column[];
  readonly valuesOf: (entity: object) => unknown[];
  readonly send: (em: EntityManager, values: unknown[]) => Promise<unknown[]>;
  readonly sendIfFree: (em: EntityManager, values: unknown[]) => Promise<unknown[]>;
}

const inserts = new Map<string, Insert>();

/**
 * Inserts one row at once, with every value bound.
 *
 * A flush would write the values into the SQL text, so that a refused insert leaves a password hash in the log of the
 * database. Entities without secrets are persisted as usual.
 */
export async function insert(em: EntityManager, entity: object): Promise<void> {
  const { valuesOf, send } = insertFor(em, entity.constructor.name);
  await send(em, valuesOf(entity));
}

/** The same, unless a row with one of its unique values is there. Tells whether it was inserted. */
export async function insertIfFree(em: EntityManager, entity: object): Promise<boolean> {
  const { valuesOf, sendIfFree } = insertFor(em, entity.constructor.name);
  return (await sendIfFree(em, valuesOf(entity))).length === 1;
}

/**
 * The row as one JSON value, for a statement that inserts it along with other things by `jsonb_populate_record`, so that
 * the list of columns stands in one place only.
 */
export function rowOf(em: EntityManager, entity: object): string {
  const row = entity as Record<string, unknown>;
  const { properties } = insertFor(em, entity.constructor.name);
  return JSON.stringify(Object.fromEntries(properties.map(({ name, column }) => [column, textOf(row[name])])));
}

function textOf(value: unknown): unknown {
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : value;
}

function insertFor(em: EntityManager, entityName: string): Insert {
  const known = inserts.get(entityName);
  if (known) return known;
  const meta = em.getMetadata().getByClassName(entityName as never);
  const props = meta.props.filter((each) => each.persist !== false && each.fieldNames);
  const columns = props.map((each) => `"${each.fieldNames[0]}"`).join(', ');
  const places = props.map((_, index) => `$${index + 1}`).join(', ');
  const properties = props.map(({ name, fieldNames, columnTypes }) => ({
    name,
    column: fieldNames[0]!,
    isJson: columnTypes[0] === 'jsonb',
  }));
  const text = `insert into "${meta.tableName}" (${columns}) values (${places})`;
  const made = {
    properties,
    valuesOf: (entity: object) => {
      const row = entity as Record<string, unknown>;
      return properties.map(({ name, isJson }) => (isJson ? JSON.stringify(row[name]) : (row[name] ?? null)));
    },
    send: statement(`insert_${meta.tableName}`, text),
    sendIfFree: statement(`insert_${meta.tableName}_if_free`, `${text} on conflict do nothing returning "id"`),
  };
  inserts.set(entityName, made);
  return made;
}
