import { createHash } from 'node:crypto';
import { lchownSync, lstatSync, mkdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EmbeddedPostgresError } from './binaries.ts';
import type { Owner } from './owner.ts';

/** Part of the socket file's name; nothing listens on TCP. */
export const port = 5432;

/** The socket is in the cluster's directory or, if that path is too long for a socket, in a short directory of its own. */
export function openSocketDirectory(cluster: string, owner: Owner | undefined): string {
  if (fits(cluster)) return cluster;
  const name = `gatehouse-${createHash('sha256').update(cluster).digest('hex').slice(0, 16)}`;
  // The user of PostgreSQL may be unable to enter the directory for temporary files of root.
  const parents = owner ? ['/tmp'] : [tmpdir(), '/tmp'];
  const dir = parents.map((parent) => path.join(parent, name)).find(fits) ?? path.join('/tmp', name);
  claimPrivately(dir, owner);
  return dir;
}

/** Removes the directory that openSocketDirectory created, if PostgreSQL has left it empty. */
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
 * Attack: any user may create this name in /tmp first, as their own directory or a link to one, and impersonate the
 * database.
 */
function claimPrivately(dir: string, owner: Owner | undefined): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const found = lstatSync(dir);
  const isOurs = found.uid === process.getuid?.() || found.uid === owner?.uid;
  if (!found.isDirectory() || !isOurs || (found.mode & 0o077) !== 0) {
    const cure = 'remove it, or set a DATA_DIR with a shorter path';
    throw new EmbeddedPostgresError('NO_ACCESS', `${dir} is not a private directory of this user: ${cure}`);
  }
  if (owner && found.uid !== owner.uid) lchownSync(dir, owner.uid, owner.gid);
}
