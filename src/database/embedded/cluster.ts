import { existsSync, mkdtempSync, readdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { EmbeddedPostgresError } from './binaries.ts';
import type { DataDirectory } from './data-directory.ts';
import type { Launcher } from './launcher.ts';
import type { Supervised } from './postmaster.ts';

export function hasCluster({ cluster }: DataDirectory): boolean {
  return existsSync(path.join(cluster, 'PG_VERSION'));
}

/** Created under another name and renamed when complete, so that an interrupted start leaves no partial cluster. */
export async function createCluster({ root, cluster }: DataDirectory, launcher: Launcher): Promise<void> {
  refuseForeignFiles(cluster);
  await removeDrafts(root);
  const draft = mkdtempSync(path.join(root, draftPrefix));
  await initialize(draft, launcher);
  renameSync(draft, cluster);
}

const draftPrefix = 'postgres.new-';

async function removeDrafts(root: string): Promise<void> {
  const drafts = readdirSync(root).filter((name) => name.startsWith(draftPrefix));
  // Retried, because an interrupted initdb may still be writing or removing files.
  for (const name of drafts) await rm(path.join(root, name), { recursive: true, force: true, maxRetries: 20 });
}

/** Flushes the new cluster's files to disk while PostgreSQL already runs, which saves initdb from waiting for it. */
export function syncCluster({ cluster }: DataDirectory, launcher: Launcher): Supervised {
  const syncing = launcher.start('initdb', cluster, ['--sync-only'], () => {});
  syncing.unref();
  return syncing;
}

async function initialize(draft: string, launcher: Launcher): Promise<void> {
  const access = ['--username=postgres', '--auth-local=reject', '--auth-host=reject'];
  const options = ['--encoding=UTF8', '--locale=C', '--no-instructions', '--no-sync'];
  const lines: string[] = [];
  if ((await launcher.initialize(draft, [...access, ...options], (line) => lines.push(line))) === 0) return;
  await removeDrafts(path.dirname(draft));
  throw new EmbeddedPostgresError(
    'NOT_STARTED',
    `cannot create the database (initdb):\n${lines.slice(-20).join('\n')}`,
  );
}

function refuseForeignFiles(cluster: string): void {
  if (!existsSync(cluster) || readdirSync(cluster).length === 0) return;
  const cure = 'move it away, or set another DATA_DIR';
  throw new EmbeddedPostgresError('NOT_STARTED', `${cluster} exists but holds no PostgreSQL data: ${cure}`);
}
