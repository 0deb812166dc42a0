import { setTimeout as sleep } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import { migrate } from '../database/migrate.ts';
import { type DatabaseOptions, openOrm, requireDatabase } from '../database/orm.ts';
import { explainStartFault } from './start-fault.ts';

export interface MigratedOptions extends DatabaseOptions {
  /** Whether the operator has named the database. Its faults are then explained by the setting. */
  readonly isConfigured: boolean;
}

/** Where the lines of a start go. */
export interface Reports {
  /** Receives what the start waits for. */
  readonly log: (line: string) => void;
  /** Receives the progress of migrations. */
  readonly report: (line: string) => void;
}

/** Waits for the database, and runs its migrations. */
export async function openMigrated(
  url: string,
  { isConfigured, ...options }: MigratedOptions,
  { log, report }: Reports,
): Promise<MikroORM> {
  const orm = await openOrm(url, options);
  try {
    await waitFor(() => requireDatabase(orm), log);
    await migrate(orm, report);
    return orm;
  } catch (error) {
    await orm.close(true);
    throw (isConfigured && explainStartFault(error)) || error;
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
