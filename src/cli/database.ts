import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { startEmbeddedPostgres } from '../database/embedded/postgres.ts';
import { migrate } from '../database/migrate.ts';
import { openOrm, requireDatabase } from '../database/orm.ts';
import { explainStartFault } from './start-fault.ts';

export type Database = Awaited<ReturnType<typeof openDatabase>>;

/** Opens the configured database, or the embedded one, with its migrations run. `report` receives their progress. */
export async function openDatabase(config: Config, log: (line: string) => void, report: (line: string) => void = log) {
  const { url, ...options } = config.database;
  // During a rolling restart there is one worker more.
  const maxConnections = Math.max(100, (config.workers + 1) * (options.poolSize + 1) + 10);
  const embedded = url ? undefined : await startEmbeddedPostgres(path.join(config.dataDir), { log, maxConnections });
  const embeddedUrl = embedded?.url('postgres');
  const orm = await openOrm(url ?? embeddedUrl!, options);
  const close = async (): Promise<void> => embedded?.stop();
  try {
    await waitFor(() => requireDatabase(orm), log);
    await migrate(orm, report);
    return { orm, embeddedUrl, close };
  } catch (error) {
    await orm.close(true);
    await close();
    throw (url && explainStartFault(error)) || error;
  }
}

// In a deployment the database often starts after the service.
export async function waitFor(ask: () => Promise<void>, log: (line: string) => void): Promise<void> {
  for (let tried = 1; ; tried++) {
    try {
      return await ask();
    } catch (error) {
      const fault = explainStartFault(error);
      if (fault || tried >= 30) throw fault ?? error;
      log(`waiting for the database (${tried} of 30): ${(error as { code?: string }).code ?? (error as Error).name}`);
      await sleep(1000);
    }
  }
}
