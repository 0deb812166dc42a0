import { spawnSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { type Binaries, EmbeddedPostgresError, environment } from './binaries.ts';
import type { DataDirectory } from './data-directory.ts';
import { giveTo, type Owner, ownerOf } from './owner.ts';
import { type Supervised, supervise } from './postmaster.ts';
import { copyBinaries } from './reachable-binaries.ts';
import { hasName, idleAccount, namedAccounts } from './system-accounts.ts';

/** Starts PostgreSQL's programs on a directory, as the user that they run as. */
export interface Launcher {
  /** The user they run as when this process is root. Undefined: the user of this process. */
  readonly owner: Owner | undefined;
  /** PostgreSQL's name of the directory that it is started on. */
  nameOf(directory: string): string;
  start(program: keyof Binaries, directory: string, args: string[], onLine: (line: string) => void): Supervised;
  /** Runs initdb on an empty directory. Resolves with its exit code. */
  initialize(directory: string, args: string[], onLine: (line: string) => void): Promise<number>;
}

export function createLauncher(binaries: Binaries, directory: Pick<DataDirectory, 'root' | 'cluster'>): Launcher {
  return process.getuid?.() === 0 ? asAnother(binaries, ownerOf(directory)) : asOurselves(binaries);
}

function asOurselves(binaries: Binaries): Launcher {
  const run = (prefix: string[], program: keyof Binaries, directory: string, args: string[]) => [
    ...prefix,
    binaries[program],
    '-D',
    directory,
    ...args,
  ];
  return {
    owner: undefined,
    nameOf: (directory) => directory,
    start: (program, directory, args, onLine) => supervise(run([], program, directory, args), directory, onLine),
    initialize: (directory, args, onLine) =>
      supervise(run(hasName() ? [] : borrowName(), 'initdb', directory, args), directory, onLine).ended,
  };
}

/** initdb refuses a user without a name. In a user namespace of its own it sees the user under one of /etc/passwd. */
function borrowName(): string[] {
  const [account] = namedAccounts();
  const command = ['unshare', '--user', `--map-user=${account?.uid}`];
  if (account && succeeds([...command, '/bin/sh', '-c', ':'])) return command;
  const uid = process.getuid?.();
  const cure = `give it one in the image (for example \`useradd --uid ${uid} gatehouse\`), start Gatehouse once as root, or set DATABASE_URL`;
  throw new EmbeddedPostgresError(
    'NO_ACCESS',
    `PostgreSQL's initdb refuses user ${uid}, which has no name in /etc/passwd: ${cure}`,
  );
}

/**
 * PostgreSQL refuses to run as root. It runs as a user without any right of root, which may be unable to reach the data
 * directory by its path. So it is started in its directory, and knows it as the working directory of its processes.
 */
const here = '/proc/self/cwd';

function asAnother(source: Binaries, owner: Owner): Launcher {
  const become = dropRoot(owner);
  const canRun = ({ postgres }: Binaries) => succeeds([...become(owner.uid), postgres, '-V']);
  const binaries = canRun(source) ? source : copyBinaries(source, canRun);
  const start = (
    uid: number,
    program: keyof Binaries,
    directory: string,
    args: string[],
    onLine: (line: string) => void,
  ) => supervise([...become(uid), binaries[program], '-D', here, ...args], directory, onLine);
  return {
    owner,
    nameOf: () => here,
    start: (program, directory, args, onLine) => start(owner.uid, program, directory, args, onLine),
    async initialize(directory, args, onLine) {
      const uid = accountForInitdb();
      chownSync(directory, uid, owner.gid);
      const code = await start(uid, 'initdb', directory, args, onLine).ended;
      giveTo(directory, owner);
      return code;
    },
  };
}

/**
 * initdb refuses a user without a name, and PostgreSQL's own user has none. The account has no other processes: they could
 * change the files until these are given to their owner.
 */
function accountForInitdb(): number {
  const account = idleAccount();
  if (account) return account.uid;
  const cure = 'run Gatehouse as an ordinary user, add an account to /etc/passwd, or set DATABASE_URL';
  throw new EmbeddedPostgresError('NO_ACCESS', `initdb needs a named account without processes: ${cure}`);
}

/** Returns the command that runs another one as a user, without groups and capabilities. */
function dropRoot({ uid, gid }: Owner): (uid: number) => string[] {
  const rights = ['--clear-groups', '--no-new-privs', '--inh-caps=-all', '--ambient-caps=-all'];
  // A container may lack the capability that the last one needs. It cannot regain any, because of --no-new-privs.
  for (const limits of [[...rights, '--bounding-set=-all'], rights]) {
    const become = (user: number) => ['setpriv', `--reuid=${user}`, `--regid=${gid}`, ...limits];
    if (succeeds([...become(uid), '/bin/sh', '-c', ':'])) return become;
  }
  const cure = 'run Gatehouse as an ordinary user, install setpriv (util-linux), or set DATABASE_URL';
  throw new EmbeddedPostgresError('NO_ACCESS', `root may not start PostgreSQL as user ${uid} here: ${cure}`);
}

function succeeds([command = '', ...args]: string[]): boolean {
  return spawnSync(command, args, { cwd: '/', env: environment, stdio: 'ignore' }).status === 0;
}
