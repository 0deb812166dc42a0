import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgresError, environment } from './binaries.ts';

export interface DataDirectory {
  readonly root: string;
  /** PostgreSQL's directory inside it. */
  readonly cluster: string;
  release(): void;
}

/** Creates the directory if needed and locks it for this process. Throws IN_USE when another Gatehouse holds it. */
export async function takeDataDirectory(dataDir: string): Promise<DataDirectory> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const root = realpathSync(dataDir);
  const pidFile = path.join(root, 'gatehouse.pid');
  const lock = lockFile(pidFile);
  if (lock === undefined) throw new EmbeddedPostgresError('IN_USE', describeUse(root, await findHolder(pidFile)));
  const { uid, gid } = statSync(root);
  // Otherwise one start as root would lock the owner out.
  if (process.getuid?.() === 0 && fstatSync(lock).uid === 0) fchownSync(lock, uid, gid);
  ftruncateSync(lock);
  writeSync(lock, `${process.pid}\n`);
  const release = () => {
    ftruncateSync(lock);
    closeSync(lock);
  };
  return { root, cluster: path.join(root, 'postgres'), release };
}

/**
 * An flock belongs to the open file and ends with its last holder, however that process ends. So a leftover pid file or a
 * reused pid never blocks a start, and two processes never both get the lock. Node has no call for it, so a child takes it.
 */
function lockFile(file: string): number | undefined {
  if (process.platform === 'darwin') return lockOnMac(file);
  const fd = openSync(file, 'a+', 0o644);
  const { status, error } = spawnSync('flock', ['-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
    env: environment,
  });
  if (status === 0) return fd;
  closeSync(fd);
  if (status === 1) return undefined;
  const cure = 'install flock (util-linux), keep DATA_DIR on a local disk, or set DATABASE_URL';
  throw new EmbeddedPostgresError('NOT_STARTED', `cannot lock ${file}: ${cure}`, { cause: error });
}

const macExclusiveLock = 0x20; // O_EXLOCK

function lockOnMac(file: string): number | undefined {
  const { O_CREAT, O_RDWR, O_NONBLOCK } = constants;
  try {
    return openSync(file, O_CREAT | O_RDWR | O_NONBLOCK | macExclusiveLock, 0o644);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}

/** The holder writes its pid after it has locked the file, so the first read may find an outdated one. */
async function findHolder(pidFile: string): Promise<number | undefined> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const pid = Number(readFileSync(pidFile, 'utf8'));
    if (isAlive(pid)) return pid;
    await sleep(25);
  }
  return undefined;
}

/** Whether a process has this pid, even one that we may not signal. */
export function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function describeUse(root: string, pid: number | undefined): string {
  const who = `another Gatehouse (process ${pid ?? 'in another container'})`;
  return `the data directory ${root} is in use by ${who}: stop it, or set another DATA_DIR, or set DATABASE_URL`;
}

/** Turns a bare EACCES in the data directory into a sentence with the remedy. */
export function explainAccess(error: unknown, dataDir: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') return error;
  return accessError(dataDir, statSync(dataDir, { throwIfNoEntry: false })?.uid, error);
}

/** PostgreSQL itself insists on owning its directory, but with a less helpful message. */
export function requireOwnership({ root, cluster }: DataDirectory): void {
  const me = process.getuid?.();
  const owner = statSync(cluster, { throwIfNoEntry: false })?.uid;
  if (me !== 0 && owner !== undefined && owner !== me) throw accessError(root, owner);
}

function accessError(dataDir: string, owner: number | undefined, cause?: unknown): EmbeddedPostgresError {
  const me = process.getuid?.();
  const whose = owner === undefined || owner === me ? '' : `, which belongs to user ${owner === 0 ? 'root' : owner}`;
  const cure = `run \`chown -R ${me} ${dataDir}\` as root, start Gatehouse as its owner, or set another DATA_DIR`;
  const what = `user ${me} may not use the data directory ${dataDir}${whose}`;
  return new EmbeddedPostgresError('NO_ACCESS', `${what}: ${cure}`, { cause });
}
