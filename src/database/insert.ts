import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from './prepared.ts';

interface Insert {
  readonly properties: readonly { name: string; isJson: boolean }[];
  readonly send: (em: EntityManager, values: unknown[]) => Promise<unknown[]>;
}

const inserts = new Map<string, Insert>();

/**
 * Inserts one row at once, with every value bound.
 *
 * A flush would write the values into the SQL text, so that a refused insert leaves a password hash in the log of the
 * database. Entities without secrets are persisted as usual.
 */
export async function insert(em: EntityManager, entity: object): Promise<void> {
  const { properties, send } = insertFor(em, entity.constructor.name);
  const row = entity as Record<string, unknown>;
  await send(
    em,
    properties.map(({ name, isJson }) => (isJson ? JSON.stringify(row[name]) : (row[name] ?? null))),
  );
}

function insertFor(em: EntityManager, entityName: string): Insert {
  const known = inserts.get(entityName);
  if (known) return known;
  const meta = em.getMetadata().getByClassName(entityName as never);
  const props = meta.props.filter((each) => each.persist !== false && each.fieldNames);
  const columns = props.map((each) => `"${each.fieldNames[0]}"`).join(', ');
  const places = props.map((_, index) => `$${index + 1}`).join(', ');
  const made = {
    properties: props.map((each) => ({ name: each.name, isJson: each.columnTypes[0] === 'jsonb' })),
    send: statement(`insert_${meta.tableName}`, `insert into "${meta.tableName}" (${columns}) values (${places})`),
  };
  inserts.set(entityName, made);
  return made;
}
