import { fork } from 'node:child_process';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Config } from '../config/config.ts';
import type { EmbeddedPostgresOptions } from '../database/embedded/postgres.ts';
import type { MigratedOptions } from './migrated.ts';
import type { FromMigration, MigrationOrder } from './migration-process.ts';

type Log = (line: string) => void;

/** Opens the configured database, or the embedded one, with its migrations run. `report` receives their progress. */
export async function openDatabase(config: Config, log: Log, report: Log = log) {
  const { openMigrated } = await import('./migrated.ts');
  const opened: { orm?: MikroORM } = {};
  const started = await startDatabase(config, log, async (url, options) => {
    opened.orm = await openMigrated(url, options, { log, report });
  });
  return { ...started, orm: opened.orm! };
}

/** The same for a process that does not use the database itself. */
export function prepareDatabase(config: Config, log: Log) {
  return startDatabase(config, log, (url, options) => migrateApart(url, options, log));
}

async function startDatabase(
  config: Config,
  log: Log,
  prepare: (url: string, options: MigratedOptions) => Promise<void>,
) {
  const { url, ...options } = config.database;
  // During a rolling restart there is one worker more.
  const maxConnections = Math.max(100, (config.workers + 1) * (options.poolSize + 1) + 10);
  const embedded = url ? undefined : await startEmbedded(config, { log, maxConnections });
  const embeddedUrl = embedded?.url('postgres');
  const close = async (): Promise<void> => embedded?.stop();
  try {
    await prepare(url ?? embeddedUrl!, { ...options, isConfigured: url !== undefined });
    return { embeddedUrl, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startEmbedded({ dataDir }: Config, options: EmbeddedPostgresOptions) {
  const { startEmbeddedPostgres } = await import('../database/embedded/postgres.ts');
  return startEmbeddedPostgres(dataDir, options);
}

const file = new URL('./migration-process.ts', import.meta.url);

/** The ORM and its modules take more memory than a primary. The system gets that of a process back when it ends. */
function migrateApart(url: string, options: MigratedOptions, log: Log): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(file);
    child.on('message', (message: FromMigration) => {
      if ('line' in message) log(message.line);
      else if (message.fault === null) resolve();
      else reject(new Error(message.fault));
    });
    child.once('error', reject);
    // After its messages, so this is only seen when there was none about the end.
    child.once('close', (code, signal) => reject(new Error(`the migrations ended with ${signal ?? code}`)));
    const order: MigrationOrder = { url, options };
    child.send(order);
  });
}
