import { createConnectTransport } from '@connectrpc/connect-node';
import type { Logger } from 'pino';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { openOrm } from '../../src/database/orm.ts';
import { startServer } from '../../src/server.ts';
import type { TestDatabase } from './database.ts';
import { testEnv } from './people.ts';
import { clientsOver } from './start.ts';

/** Starts a replica with other settings than those of start(), and returns JSON clients for it. */
export async function startReplica(database: TestDatabase, env: Record<string, string> = {}, log?: Logger) {
  const { config } = readConfig({ ...testEnv, ...env });
  const orm = await openOrm(database.url, config.database);
  const starting = startServer({ config, orm, log: log ?? pino({ level: 'silent' }) });
  const replica = await starting.catch(async (error: unknown) => {
    await orm.close(true);
    throw error;
  });
  onTestFinished(() => replica.stop());
  const baseUrl = `http://127.0.0.1:${replica.httpPort}`;
  return { replica, ...clientsOver(createConnectTransport({ baseUrl, httpVersion: '1.1' })) };
}
