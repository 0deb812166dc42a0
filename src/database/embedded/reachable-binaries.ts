import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import path from 'node:path';
import { type Binaries, EmbeddedPostgresError, packageOf } from './binaries.ts';
import { isAlive } from './data-directory.ts';

/** Kept over a restart of the machine, or else on a read-only system, in the directory of temporary files. */
const places = ['/var/cache', '/tmp'];

/**
 * A copy of PostgreSQL's programs that every user may run but only root may change. It is for packages in a directory that
 * other users cannot enter, such as /root. The next start finds it.
 */
export function copyBinaries(binaries: Binaries, canRun: (copy: Binaries) => boolean): Binaries {
  const source = packageOf(binaries);
  const faults: string[] = [];
  for (const place of places) {
    try {
      const copy = at(copyTo(place, source, binaries));
      if (canRun(copy)) return copy;
      faults.push(`programs in ${place} cannot be run`);
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  const cure = 'run Gatehouse as an ordinary user, install it where other users may read it, or set DATABASE_URL';
  throw new EmbeddedPostgresError(
    'NO_ACCESS',
    `PostgreSQL cannot be copied from ${source} (${faults.join('; ')}): ${cure}`,
  );
}

function copyTo(place: string, source: string, binaries: Binaries): string {
  const name = `gatehouse-postgres-${digest(source)}-`;
  const target = path.join(place, `${name}${identityOf(binaries)}`);
  if (!existsSync(target)) {
    removeOld(place, name);
    fill(target, source);
  }
  requireOurs(target);
  return target;
}

/** Race: it appears complete or not at all, and another start may create it at the same time. */
function fill(target: string, source: string): void {
  const draft = `${target}.${process.pid}`;
  mkdirSync(draft);
  try {
    for (const part of ['bin', 'lib', 'share'])
      copyTree(path.join(source, 'native', part), path.join(draft, 'native', part));
    chmodSync(draft, 0o755);
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
}

/** Removes copies of what has been replaced since, for example by npm ci, and those of starts that did not end. */
function removeOld(place: string, prefix: string): void {
  for (const name of readdirSync(place).filter((each) => each.startsWith(prefix))) {
    const file = path.join(place, name);
    const found = lstatSync(file, { throwIfNoEntry: false });
    const pid = Number(name.split('.')[1] ?? 0);
    const isUnderWay = pid !== process.pid && isAlive(pid);
    if (found?.uid === 0 && !isUnderWay) rmSync(file, { recursive: true, force: true });
  }
}

/** Attack: in /tmp any user may create this name first, with programs of their own. */
function requireOurs(target: string): void {
  const found = lstatSync(target);
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0)
    throw new Error(`${target} is not a directory of root`);
}

/** The copies are readable, also where the umask of the installation made the originals private. */
function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  chmodSync(path.dirname(to), 0o755);
  chmodSync(to, 0o755);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (isForDevelopment(entry.name)) continue;
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) copyTree(source, target);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else {
      copyFileSync(source, target);
      chmodSync(target, 0o755);
    }
  }
}

function isForDevelopment(name: string): boolean {
  return name.endsWith('.a') || name === 'pgxs' || name === 'pkgconfig';
}

/** Changes with every installation of the package. */
function identityOf({ postgres, initdb }: Binaries): string {
  return digest(
    [postgres, initdb]
      .map((file) => statSync(file, { bigint: true }))
      .map(({ dev, ino, size, mtimeNs }) => `${dev} ${ino} ${size} ${mtimeNs}`)
      .join('\n'),
  );
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function at(directory: string): Binaries {
  const program = (name: string) => path.join(directory, 'native/bin', name);
  return { initdb: program('initdb'), postgres: program('postgres') };
}
