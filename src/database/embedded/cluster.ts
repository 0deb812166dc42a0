import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { type Account, type Binaries, EmbeddedPostgresError } from './binaries.ts';
import type { DataDirectory } from './data-directory.ts';
import { supervise } from './postmaster.ts';

/** Created under another name and renamed when whole: an interrupted start leaves nothing the next one could trust. */
export async function ensureCluster(directory: DataDirectory, binaries: Binaries, account: Account, fast: boolean) {
  const { root, cluster } = directory;
  if (existsSync(path.join(cluster, 'PG_VERSION'))) return;
  refuseForeignFiles(cluster);
  await removeDrafts(root);
  const draft = mkdtempSync(path.join(root, draftPrefix));
  const { uid, gid } = account;
  if (uid !== undefined && gid !== undefined) chownSync(draft, uid, gid);
  await initialize(draft, binaries, account, fast);
  renameSync(draft, cluster);
  if (!fast) syncDirectory(root);
}

const draftPrefix = 'postgres.new-';

async function removeDrafts(root: string): Promise<void> {
  const drafts = readdirSync(root).filter((name) => name.startsWith(draftPrefix));
  // Retried, for an interrupted initdb may be writing its last files, or removing them at the same time.
  for (const name of drafts) await rm(path.join(root, name), { recursive: true, force: true, maxRetries: 20 });
}

async function initialize(draft: string, binaries: Binaries, account: Account, fast: boolean): Promise<void> {
  const access = ['--username=postgres', '--auth-local=trust', '--auth-host=reject'];
  const options = ['--encoding=UTF8', '--locale=C', '--no-instructions', ...(fast ? ['--no-sync'] : [])];
  const lines: string[] = [];
  const command = account.command(binaries.initdb, ['-D', draft, ...access, ...options]);
  if ((await supervise(command, (line) => lines.push(line)).ended) === 0) return;
  await removeDrafts(path.dirname(draft));
  throw new EmbeddedPostgresError('NOT_STARTED', `cannot create the database (initdb):\n${lines.slice(-20).join('\n')}`);
}

function refuseForeignFiles(cluster: string): void {
  if (!existsSync(cluster) || readdirSync(cluster).length === 0) return;
  const cure = 'move it away, or set another DATA_DIR';
  throw new EmbeddedPostgresError('NOT_STARTED', `${cluster} is there but holds no PostgreSQL data: ${cure}`);
}

function syncDirectory(dir: string): void {
  const fd = openSync(dir, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
