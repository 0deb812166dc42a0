import { createHash } from 'node:crypto';
import { lchownSync, lstatSync, mkdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Account, EmbeddedPostgresError } from './binaries.ts';

/** Names the socket file; nothing listens on TCP. */
export const port = 5432;

/** The socket lies in the cluster itself, or, where that path is too long for one, in a short directory of its own. */
export function openSocketDirectory(cluster: string, account: Account): string {
  if (fits(cluster)) return cluster;
  const name = `gatehouse-${createHash('sha256').update(cluster).digest('hex').slice(0, 16)}`;
  const dir = [tmpdir(), '/tmp'].map((parent) => path.join(parent, name)).find(fits) ?? path.join('/tmp', name);
  claimPrivately(dir, account);
  return dir;
}

/** Removes what openSocketDirectory made, when PostgreSQL has left it empty. */
export function closeSocketDirectory(dir: string, cluster: string): void {
  if (dir === cluster) return;
  try {
    rmdirSync(dir);
  } catch {}
}

/** A path of a socket has 107 bytes on Linux, 103 on macOS. */
function fits(dir: string): boolean {
  return Buffer.byteLength(path.join(dir, `.s.PGSQL.${port}`)) <= 103;
}

/**
 * Attack: anyone may make this name in /tmp first, as a directory of theirs or a link to one, and answer in place of
 * our database.
 */
function claimPrivately(dir: string, { uid, gid }: Account): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const found = lstatSync(dir);
  const isOurs = found.uid === process.getuid?.() || found.uid === uid;
  if (!found.isDirectory() || !isOurs || (found.mode & 0o077) !== 0) {
    const cure = 'remove it, or set a DATA_DIR with a shorter path';
    throw new EmbeddedPostgresError('NO_ACCESS', `${dir} is not a private directory of ours: ${cure}`);
  }
  if (uid !== undefined && gid !== undefined && found.uid !== uid) lchownSync(dir, uid, gid);
}
