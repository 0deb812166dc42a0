import { Migrator } from '@mikro-orm/migrations';
import { defineConfig, MikroORM } from '@mikro-orm/postgresql';
import type { ClientConfig, Pool } from 'pg';
import { connectionsOf, keepConnections } from './autocommit.ts';
import { BindingDriver } from './binding-driver.ts';
import { Connections } from './connections.ts';
import { entities } from './entities.ts';
import { migrations } from './migrations/index.ts';
import { adjustToPooler } from './pooler.ts';
import { PreparingClient } from './statement.ts';
import { UnfitDatabase } from './unfit-database.ts';

export interface DatabaseOptions {
  /** The maximum number of connections. */
  readonly poolSize?: number;
  /** Seconds that opening a connection may take. */
  readonly connectTimeout?: number;
  /** Seconds after which PostgreSQL ends a statement, whatever the caller's deadline; 0 for never. */
  readonly statementTimeout?: number;
}

/** Prepares connections to PostgreSQL 15 or newer. The first statement opens one. Throws ConnectionUrlFault. */
export async function openOrm(
  url: string,
  { poolSize = 10, connectTimeout = 3, statementTimeout = 5 }: DatabaseOptions = {},
): Promise<MikroORM> {
  const connections = new Connections(url, { statementTimeout, connectTimeout });
  let pool: Pool | undefined;
  const orm = await MikroORM.init(
    defineConfig({
      driver: BindingDriver,
      entities,
      // The ORM uses the name only. The clients of the pool know where the database is.
      dbName: connections.attempts.target.database ?? 'postgres',
      // Without it, the migrator looks for its table in `public`.
      ...(connections.schema && { schema: connections.schema }),
      extensions: [Migrator],
      // The migrator would create a missing database without asking.
      ensureDatabase: false,
      forceUtcTimezone: true,
      pool: { min: 0, max: poolSize },
      driverOptions: {
        Client: poolClient(connections),
        connectionTimeoutMillis: connections.connectTimeout,
        onPoolCreated: (made: Pool) => {
          pool = made;
        },
      },
      // The migrations create functions, which no entity describes.
      schemaGenerator: { ignoreRoutines: true },
      migrations: { migrationsList: migrations, tableName: 'migrations', snapshot: false, silent: true },
    }),
  );
  orm.em.getConnection().getClient(); // creates the pool; the ORM's own method would also connect
  keepConnections(orm, pool!, connections, poolSize > 1);
  return orm;
}

/** The class whose instances the pool creates. */
function poolClient(connections: Connections) {
  return class extends PreparingClient {
    constructor(config: ClientConfig = {}) {
      super(config, connections.clientOptions(), connections.statementTimeout);
    }
  };
}

/** Throws unless the database responds, a pooler before it works, it is new enough, and stores text as we compare it. */
export async function requireDatabase(orm: MikroORM): Promise<void> {
  await adjustToPooler(connectionsOf(orm));
  const [row] = await orm.em
    .fork()
    .execute<{ version: number; encoding: string }[]>(
      `select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding`,
    );
  const { version, encoding } = row!;
  if (version < 150000) throw new UnfitDatabase(`PostgreSQL 15 or newer is needed; DATABASE_URL leads to ${version}`);
  if (encoding !== 'UTF8') throw new UnfitDatabase(`the database must be created with encoding UTF8, not ${encoding}`);
}
