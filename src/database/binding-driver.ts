import {
  isRaw,
  NativeQueryBuilder,
  type Platform,
  PostgreSqlConnection,
  PostgreSqlDriver,
  raw,
} from '@mikro-orm/postgresql';
import { CompiledQuery, type Kysely } from 'kysely';
import { leavingWith } from './pool-queue.ts';

type Execute = PostgreSqlConnection['execute'];

/**
 * The ORM's driver with bound values. By itself the ORM writes values into the SQL text of its reads and flushes, and a
 * statement that is refused would leave addresses, metadata and hashes in the log of the database.
 */
export class BindingDriver extends PostgreSqlDriver {
  protected override readonly connection = new BindingConnection(this.config);
}

class BindingConnection extends PostgreSqlConnection {
  override execute: Execute = async (query, params, method, transaction, context) => {
    // Kysely would cancel a statement by SQL over another connection, which a pooler does not understand.
    const { signal, ...logging } = (context ?? {}) as { signal?: AbortSignal };
    await this.ensureConnection();
    const on: Kysely<unknown> = transaction ?? this.getClient();
    const { text, values } = bind(this.platform, query, params);
    const binding: Pick<typeof on, 'executeQuery'> = {
      executeQuery: ({ sql }: CompiledQuery, options) => on.executeQuery(CompiledQuery.raw(sql, values), options),
    };
    return signal
      ? leavingWith(signal, () => super.execute(text, [], method, binding, logging))
      : super.execute(text, [], method, binding, logging);
  };
}

/** PostgreSQL's spelling of a query of the ORM: `?` is a value, `??` an identifier, `\?` a question mark. */
function bind(platform: Platform, ...[query, params = []]: Parameters<Execute>) {
  const values: unknown[] = [];
  const place = (value: unknown): string => {
    if (isRaw(value)) return write(value.sql, value.params);
    if (Array.isArray(value)) return value.map(place).join(', ');
    values.push(value);
    return `$${values.length}`;
  };
  const write = (sql: string, given: readonly unknown[]): string => {
    if (given.length === 0) return sql;
    let at = 0;
    return sql.replace(/\\\?|\?\??/g, (mark) => {
      if (mark === '\\?') return '?';
      const value = given[at++];
      return mark === '??' ? platform.quoteIdentifier(value as string) : place(value);
    });
  };
  const { sql, params: given } = query instanceof NativeQueryBuilder ? query.toRaw() : raw(query, params);
  return { text: write(sql, given), values };
}
