import { Migration } from '@mikro-orm/migrations';

/**
 * A migration for tables that may be large. It runs outside of a transaction, so that each of its statements holds its own
 * locks only, and no lock of it blocks reads or writes.
 *
 * A process may be killed between two of the statements, and the next run starts with the first one again. So each statement
 * must leave alone what is done already.
 */
export abstract class ConcurrentMigration extends Migration {
  override isTransactional(): boolean {
    return false;
  }

  /** Builds an index. `definition` follows the name of the table: the columns, and a condition if there is one. */
  protected createIndex(name: string, table: string, definition: string, { isUnique = false } = {}): void {
    const kind = isUnique ? 'unique index' : 'index';
    this.addSql(`create ${kind} concurrently if not exists "${name}" on "${table}" ${definition}`);
  }

  protected dropIndex(name: string): void {
    this.addSql(`drop index concurrently if exists "${name}"`);
  }
}

/** The name of the index that such a statement builds. Undefined for other statements. */
export function builtIndexOf(sql: string): string | undefined {
  return /^create (?:unique )?index concurrently if not exists "(\w+)" on "\w+" /.exec(sql)?.[1];
}
