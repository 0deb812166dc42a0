import { Migrator } from '@mikro-orm/migrations';
import { defineConfig, MikroORM } from '@mikro-orm/postgresql';
import { entities } from './entities.ts';
import { migrations } from './migrations/index.ts';
import { PreparingClient } from './prepared.ts';

export interface DatabaseOptions {
  /** Connections at most. */
  readonly poolSize?: number;
  /** Seconds after which PostgreSQL ends a statement whatever the caller's deadline. */
  readonly statementTimeout?: number;
}

// "gatehouse" as a number: one installation's migrations and first keys are made by one process at a time.
export const installationLock = 0x6a7e4005e;

/** Connects to PostgreSQL 15 or newer. Nothing is read yet. */
export function openOrm(url: string, { poolSize = 10, statementTimeout = 5 }: DatabaseOptions = {}): Promise<MikroORM> {
  return MikroORM.init(
    defineConfig({
      entities,
      clientUrl: url,
      extensions: [Migrator],
      forceUtcTimezone: true,
      pool: { min: 0, max: poolSize },
      driverOptions: {
        Client: PreparingClient,
        application_name: 'gatehouse',
        connectionTimeoutMillis: 1000,
        keepAlive: true,
        statement_timeout: statementTimeout * 1000,
        lock_timeout: statementTimeout * 400,
        idle_in_transaction_session_timeout: statementTimeout * 2000,
      },
      migrations: { migrationsList: migrations, tableName: 'migrations', snapshot: false, silent: true },
    }),
  );
}

/** Runs the pending migrations. Several replicas may start at once: an advisory lock lets one through at a time. */
export async function migrate(orm: MikroORM): Promise<void> {
  await orm.em.fork().transactional(async (em) => {
    await em.execute('set local statement_timeout = 0');
    await em.execute(`select pg_advisory_xact_lock(${installationLock})`);
    // DDL that waits behind a long read would block every sign-in that comes after it.
    await em.execute(`set local lock_timeout = '5s'`);
    await orm.migrator.up({ transaction: em.getTransactionContext()! });
  });
}

/** The database is there, but cannot be ours. */
class UnfitDatabase extends Error {
  override name = 'UnfitDatabase';
}

/** Throws unless the database answers, is new enough, and stores text as we compare it. */
export async function requireDatabase(orm: MikroORM): Promise<void> {
  const [row] = await orm.em
    .fork()
    .execute<{ version: number; encoding: string }[]>(
      `select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding`,
    );
  const { version, encoding } = row!;
  if (version < 150000) throw new UnfitDatabase(`PostgreSQL 15 or newer is needed; DATABASE_URL leads to ${version}`);
  if (encoding !== 'UTF8') throw new UnfitDatabase(`the database must be created with encoding UTF8, not ${encoding}`);
}
