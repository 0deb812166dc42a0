import { createHash } from 'node:crypto';
import { chmodSync, chownSync, lchownSync, lstatSync, readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import { EmbeddedPostgresError } from './binaries.ts';
import type { DataDirectory } from './data-directory.ts';
import { namedAccounts } from './system-accounts.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Neither accounts of people, nor of packages, nor the ranges that systemd and containers hand out. */
const unassigned = { first: 60_706, count: 478 };

/**
 * The user and group that PostgreSQL runs as when this process is root. That is the user of the data directory, or else a
 * uid that nothing else uses. The group is always such a number: the group of a directory may have rights elsewhere.
 */
export function ownerOf({ root, cluster }: Pick<DataDirectory, 'root' | 'cluster'>): Owner {
  const gid = unassignedId(root);
  const found = statSync(cluster, { throwIfNoEntry: false });
  if (found && found.uid !== 0 && !isShared(found, root)) return { uid: found.uid, gid };
  return { uid: statSync(root).uid || gid, gid };
}

/** Earlier versions gave the clusters of root to an account that other programs of the machine use as well. */
function isShared({ uid }: Stats, root: string): boolean {
  const shared = namedAccounts().filter(({ name }) => name === 'postgres' || name === 'nobody');
  return shared.some((each) => each.uid === uid) && statSync(root).uid !== uid;
}

/** The same for a path at every start, and different for most others. */
function unassignedId(root: string): number {
  const hash = createHash('sha256').update(root).digest().readUInt32BE();
  const taken = new Set(namedAccounts().map(({ uid }) => uid));
  const groups = readFileSync('/etc/group', 'utf8').split('\n');
  for (const line of groups) taken.add(Number(line.split(':')[2]));
  const ids = Array.from(
    { length: unassigned.count },
    (_, step) => unassigned.first + ((hash + step) % unassigned.count),
  );
  const free = ids.find((id) => !taken.has(id));
  if (free !== undefined) return free;
  const cure = 'run Gatehouse as an ordinary user, or set DATABASE_URL';
  throw new EmbeddedPostgresError('NO_ACCESS', `no uid from ${unassigned.first} on is free for PostgreSQL: ${cure}`);
}

/** PostgreSQL's directory is closed to others, and belongs to the user that PostgreSQL runs as. */
export function takePossession({ root, cluster }: DataDirectory, owner: Owner | undefined): void {
  const found = statSync(cluster, { throwIfNoEntry: false });
  if (!found) return;
  const me = process.getuid?.();
  if (me !== 0 && found.uid !== me) return;
  // PostgreSQL refuses other modes, and the fsGroup of Kubernetes makes every directory of a volume writable for a group.
  if ((found.mode & 0o7777) !== 0o700) chmodSync(cluster, 0o700);
  const marks = [cluster, path.join(cluster, 'PG_VERSION')];
  if (owner && marks.some((file) => statSync(file, { throwIfNoEntry: false })?.uid !== owner.uid))
    giveTo(cluster, owner, `${root} as root`);
}

/** Gives the directory and everything in it to the owner. An interrupted run is repeated: the directory changes last. */
export function giveTo(directory: string, owner: Owner, where = directory): void {
  // Attack: a process of the earlier owner changes the tree while it is walked.
  chownSync(directory, 0, 0);
  for (const each of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const file = path.join(each.parentPath, each.name);
    const { nlink } = lstatSync(file);
    // Attack: the earlier owner put a second name of somebody else's file, such as /etc/shadow, into the directory.
    if (nlink > 1 && !each.isDirectory()) {
      const cure = `remove the other names of the file, and start Gatehouse on ${where} again`;
      throw new EmbeddedPostgresError('NO_ACCESS', `${file} is a hard link: ${cure}`);
    }
    lchownSync(file, owner.uid, owner.gid);
  }
  chownSync(directory, owner.uid, owner.gid);
}
