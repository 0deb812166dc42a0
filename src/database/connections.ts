import type pg from 'pg';
import { type ClientOptions, DatabaseClient } from './client.ts';
import { ConnectionAttempts } from './connection-attempts.ts';
import { schemaIn, settingsIn } from './connection-parameters.ts';
import { parseConnectionUrl } from './connection-url.ts';

export interface ConnectionsOptions {
  /** Seconds after which PostgreSQL ends a statement; 0 for never. */
  readonly statementTimeout: number;
  /** Seconds that opening a connection may take, if the URL sets no other time. */
  readonly connectTimeout: number;
}

/** Opens all connections of an ORM: those of the pool, and others with the same settings. */
export class Connections {
  readonly url: string;
  readonly attempts: ConnectionAttempts;
  readonly statementTimeout: number;
  /** In milliseconds. */
  readonly connectTimeout: number;
  /** Behind a pooler of transactions, the role has the settings. */
  settingsBy: 'startup' | 'set' | 'role' = 'startup';

  constructor(url: string, { statementTimeout, connectTimeout }: ConnectionsOptions) {
    this.url = url;
    const target = parseConnectionUrl(url);
    this.attempts = new ConnectionAttempts(target);
    this.statementTimeout = statementTimeout * 1000;
    this.connectTimeout = (target.connectTimeout ?? connectTimeout) * 1000;
  }

  /** Opens a connection outside the pool, to another database of the same server if one is named. */
  async open(
    config: pg.ClientConfig & { readonly pipeline?: boolean } = {},
    database?: string,
  ): Promise<DatabaseClient> {
    const all = { connectionTimeoutMillis: this.connectTimeout, ...config };
    return this.attempts.open(async () => {
      const options = this.clientOptions();
      const target = database === undefined ? options.target : { ...options.target, database };
      const client = new DatabaseClient(all, { ...options, target });
      // An error event without a listener would end the process. The queries of a broken connection fail anyway.
      client.on('error', () => {});
      await client.connect();
      return client;
    });
  }

  /** For the next connection. */
  clientOptions(): ClientOptions {
    const { attempts, settings, settingsBy } = this;
    const none = settingsBy === 'role';
    return {
      target: attempts.target,
      attempt: attempts.next(),
      settings: none ? {} : settings,
      settingsBy: none ? 'startup' : settingsBy,
    };
  }

  /** Undefined for `public`. */
  get schema(): string | undefined {
    return schemaIn(this.attempts.target.options);
  }

  /** The settings that statements rely on. `options` of the URL may replace the search path. */
  get settings(): Readonly<Record<string, string | number>> {
    const { statementTimeout, attempts } = this;
    return {
      statement_timeout: statementTimeout,
      lock_timeout: statementTimeout * 0.4,
      idle_in_transaction_session_timeout: statementTimeout * 2,
      ...(!settingsIn(attempts.target.options).includes('search_path') && { search_path: 'public' }),
    };
  }
}
