import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../src/database/embedded/postgres.ts';
import { migrate } from '../../src/database/migrate.ts';
import { openOrm } from '../../src/database/orm.ts';
import { choosePassword } from './cluster-password.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of the test cluster's socket, which holds the migrated template database `tpl`. */
    pgHost: string;
  }
}

/** One PostgreSQL for the whole run. The databases of tests are clones of `tpl`. */
export default async function startCluster(project: TestProject): Promise<() => Promise<void>> {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-test-'));
  choosePassword(dir);
  const cluster = await startEmbeddedPostgres(dir, { fast: true, maxConnections: 400 });
  const stop = async () => {
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await makeTemplate(cluster.url);
  } catch (error) {
    await stop();
    throw error;
  }
  project.provide('pgHost', cluster.socketDir);
  return stop;
}

async function makeTemplate(url: (database: string) => string): Promise<void> {
  const admin = new pg.Client({ connectionString: url('postgres') });
  await admin.connect();
  try {
    await admin.query('create database tpl');
    const orm = await openOrm(url('tpl'));
    await migrate(orm).finally(() => orm.close(true));
    await admin.query('alter database tpl is_template true');
  } finally {
    await admin.end();
  }
}
