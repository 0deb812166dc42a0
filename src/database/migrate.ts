import { setTimeout as sleep } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import { connectionsOf } from './autocommit.ts';
import type { DatabaseClient } from './client.ts';
import { type PendingMigration, type Report, type Run, runConcurrently } from './concurrent-run.ts';
import { Connections } from './connections.ts';
import { lockMigrations } from './migration-lock.ts';
import { migrations } from './migrations/index.ts';
import { causesOf } from './sqlstate.ts';

/**
 * How long a migration waits for a lock, and how often it tries. All later calls on the table queue behind a statement that
 * waits for its lock, so it waits for less time than they do, and lets them pass before it tries again.
 */
const lockWait = { milliseconds: 1000, tries: 40, longestPause: 8000 };

/**
 * Runs the pending migrations in their order, each in a transaction of its own unless it is concurrent. Several replicas may
 * start at once: one of them migrates, and the others wait.
 */
export async function migrate(orm: MikroORM, report: Report = () => {}): Promise<void> {
  const { url, connectTimeout, settingsBy } = connectionsOf(orm);
  // The timeouts of calls would end a long migration.
  const connections = new Connections(url, { statementTimeout: 0, connectTimeout: connectTimeout / 1000 });
  connections.settingsBy = settingsBy;
  const client = await connections.open();
  try {
    await runPending(orm, { connections, client, report });
  } finally {
    await client.end();
  }
}

/**
 * A replica of an earlier version waits for the lock of the installation inside of its statement, and a concurrent build waits
 * for the snapshot of that statement. PostgreSQL then ends one of the two. The replica goes first.
 */
async function runPending(orm: MikroORM, run: Run): Promise<void> {
  for (let tried = 1; ; tried++) {
    const unlock = await lockMigrations(run);
    try {
      return await runAll(orm, run);
    } catch (error) {
      if (!hasCode(error, '40P01') || tried === lockWait.tries) throw error;
      run.report('another process waits for the lock of the installation, and goes first');
    } finally {
      await unlock().catch(() => {});
    }
    await sleep(lockWait.milliseconds);
  }
}

async function runAll(orm: MikroORM, { connections, client, report }: Run): Promise<void> {
  const table = recordOf(connections, client);
  const applied = await openRecord(client, table);
  for (const pending of await statementsOf(orm, applied)) {
    const record = `insert into ${table} (name) values (${client.escapeLiteral(pending.name)})`;
    if (pending.isConcurrent) await runConcurrently({ connections, client, report }, pending, record);
    else await runWithRetries(client, pending, record, report);
  }
}

/** The table of the migrations that have run, as the migrator of the ORM knows it. */
function recordOf({ schema = 'public' }: Connections, client: DatabaseClient): string {
  return `${client.escapeIdentifier(schema)}."migrations"`;
}

async function openRecord(client: DatabaseClient, table: string): Promise<ReadonlySet<string>> {
  const { rows: found } = await client.query<{ exists: boolean }>('select to_regclass($1) is not null as exists', [
    table,
  ]);
  if (!found[0]!.exists)
    await client.query(
      `create table ${table} ("id" serial primary key, "name" varchar(255) not null, "executed_at" timestamptz(6) not null default current_timestamp(6))`,
    );
  const { rows } = await client.query<{ name: string }>(`select name from ${table}`);
  return new Set(rows.map(({ name }) => name));
}

/** The statements of the migrations that have not run yet. */
export async function statementsOf(orm: MikroORM, applied: ReadonlySet<string>): Promise<PendingMigration[]> {
  const pending = migrations.filter(({ name }) => !applied.has(name));
  return Promise.all(
    pending.map(async ({ name, class: Migration }) => {
      const migration = new Migration(orm.em.getDriver(), orm.config);
      await migration.up();
      const statements = migration.getQueries() as string[];
      return { name, isConcurrent: !migration.isTransactional(), statements };
    }),
  );
}

/** A migration that does not get a lock in time is rolled back, so that it holds none of its locks while it waits. */
async function runWithRetries(client: DatabaseClient, pending: PendingMigration, record: string, report: Report) {
  for (let tried = 1; ; tried++) {
    try {
      return await runInTransaction(client, pending, record);
    } catch (error) {
      await client.query('rollback').catch(() => {});
      if (!isBlocked(error)) throw error;
      const cause = `${pending.name} waits for a lock (attempt ${tried} of ${lockWait.tries})${await oldest(client)}`;
      if (tried === lockWait.tries)
        throw new Error(`${cause}: end that transaction, and start again`, { cause: error });
      report(cause);
      await sleep(Math.min(lockWait.longestPause, 250 * 2 ** tried) * (0.5 + Math.random() / 2));
    }
  }
}

async function runInTransaction(client: DatabaseClient, { statements }: PendingMigration, record: string) {
  // The timeouts are set here too, because behind some poolers the connection cannot have settings of its own.
  await client.query('begin isolation level read committed');
  await client.query(`set local statement_timeout = 0; set local lock_timeout = ${lockWait.milliseconds}`);
  for (const each of statements) await client.query(each);
  await client.query(record);
  await client.query('commit');
}

function isBlocked(error: unknown): boolean {
  return ['55P03', '40P01', '40001'].some((code) => hasCode(error, code));
}

function hasCode(error: unknown, code: string): boolean {
  return causesOf(error).some((cause) => cause.code === code);
}

/** The transaction that has been open for the longest time usually holds the lock. */
async function oldest(client: DatabaseClient): Promise<string> {
  const { rows } = await client.query<{ pid: number; seconds: number }>(
    `select pid, extract(epoch from clock_timestamp() - xact_start)::int as seconds from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null order by xact_start limit 1`,
  );
  const [row] = rows;
  return row ? `, and the transaction of pid ${row.pid} has been open for ${row.seconds} s` : '';
}
