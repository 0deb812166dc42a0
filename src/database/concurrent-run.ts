import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseClient } from './client.ts';
import type { Connections } from './connections.ts';
import { builtIndexOf } from './migrations/concurrent-migration.ts';

/** Receives lines about work that takes long. */
export type Report = (line: string) => void;

export interface PendingMigration {
  readonly name: string;
  readonly isConcurrent: boolean;
  readonly statements: readonly string[];
}

/** The connection that migrates. */
export interface Run {
  readonly connections: Connections;
  readonly client: DatabaseClient;
  readonly report: Report;
}

/** Milliseconds between two reports, and between two looks at a build of another process. */
const reportInterval = 2000;
const lookInterval = 500;

/**
 * Runs the statements of a concurrent migration outside of a transaction, and records it after the last one. Nobody waits
 * for these statements, so they wait for others as long as it takes.
 */
export async function runConcurrently(run: Run, { name, statements }: PendingMigration, record: string): Promise<void> {
  const { client, connections } = run;
  if (connections.settingsBy !== 'role') await prepare(client);
  for (const sql of statements) {
    const index = builtIndexOf(sql);
    if (index) await dropInvalid(client, index);
    await reporting(run, name, index, () => client.query(sql));
  }
  await client.query(record);
}

async function prepare(client: DatabaseClient): Promise<void> {
  // An index cannot be built concurrently with one snapshot for the whole transaction.
  await client.query(`set default_transaction_isolation = 'read committed'`);
  await client.query('set lock_timeout = 0');
  // The server notices within a second that this process was killed, and gives up its statement. Not every system can.
  await client.query('set client_connection_check_interval = 1000').catch(() => {});
}

/** A build that was interrupted leaves an index that is kept up to date by every write and used by no query. */
async function dropInvalid(client: DatabaseClient, index: string): Promise<void> {
  const isTrue = async (condition: string): Promise<boolean> => {
    const { rows } = await client.query<{ is: boolean }>(`select exists (${condition}) as is`, [index]);
    return rows[0]!.is;
  };
  const ofIndex = `to_regclass(quote_ident($1))`;
  // Race: behind some poolers, the statement of a process that was killed runs on without the lock of the migrations.
  while (await isTrue(`select 1 from pg_stat_progress_create_index where index_relid = ${ofIndex}`))
    await sleep(lookInterval);
  if (await isTrue(`select 1 from pg_index where indexrelid = ${ofIndex} and not indisvalid`))
    await client.query(`drop index concurrently if exists "${index}"`);
}

/** Reports, while the statement runs, how far it is. */
async function reporting({ connections, report }: Run, name: string, index: string | undefined, work: () => unknown) {
  const ended = new AbortController();
  const watching = watch(connections, ended.signal, (progress) =>
    report(`${name}${index ? ` builds the index ${index}` : ''}${progress}`),
  );
  try {
    await work();
  } finally {
    ended.abort();
    await watching;
  }
}

async function watch(connections: Connections, signal: AbortSignal, report: Report): Promise<void> {
  let client: DatabaseClient | undefined;
  // A report that fails must not end the build.
  while (await hasPassed(reportInterval, signal))
    try {
      client ??= await connections.open();
      report(await progressOf(client));
    } catch {
      report('');
    }
  await client?.end().catch(() => {});
}

function hasPassed(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return sleep(milliseconds, true, { signal }).catch(() => false);
}

async function progressOf(client: DatabaseClient): Promise<string> {
  const { rows } = await client.query<{ phase: string; percent: number | null; waitsFor: number | null }>(
    `select phase, nullif(current_locker_pid, 0) as "waitsFor",
       round(100.0 * greatest(blocks_done, tuples_done) / nullif(greatest(blocks_total, tuples_total), 0))::int as percent
     from pg_stat_progress_create_index where datname = current_database() limit 1`,
  );
  const [row] = rows;
  if (!row) return '';
  const percent = row.percent === null ? '' : `, ${row.percent} %`;
  return `: ${row.phase}${percent}${row.waitsFor === null ? '' : `, waits for the transaction of pid ${row.waitsFor}`}`;
}
