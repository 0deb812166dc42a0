import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { environment } from './binaries.ts';
import { isAlive } from './data-directory.ts';

/**
 * Runs a command until it ends or until its standard input closes, which the kernel does when this process ends in any
 * way. Then it sends SIGINT, PostgreSQL's fast shutdown. After ten seconds it sends SIGQUIT, the immediate shutdown, from
 * which the next start recovers without loss: 18.4 can hang in the fast one when a backend has just crashed. SIGTERM comes
 * first because a background job starts with SIGINT ignored, until PostgreSQL has set its handlers.
 */
const supervisor = `
"$@" </dev/null &
trap '' HUP INT QUIT TERM
exec 2>/dev/null
read -r _
kill -TERM $!
for signal in INT QUIT KILL; do
  kill -$signal $! || break
  tick=0
  while [ $tick -lt 180 ] && kill -0 $!; do sleep 0.05; tick=$((tick + 1)); done
done
wait $!`;

export interface Supervised {
  /** Resolves with the exit code, after the last line. */
  readonly ended: Promise<number>;
  /** Ends the command and waits for it. */
  end(): Promise<number>;
  /** Lets this process end while the command runs. */
  unref(): void;
}

/**
 * Runs a command in that directory, in a session of its own: Ctrl-C reaches only this process, and running calls finish
 * before the database stops.
 */
export function supervise(command: string[], directory: string, onLine: (line: string) => void): Supervised {
  const child = spawn('/bin/sh', ['-c', supervisor, `gatehouse-postgres ${directory}`, ...command], {
    cwd: directory,
    detached: true,
    env: environment,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const ended = new Promise<number>((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1));
    child.once('error', (error) => {
      onLine(error.message);
      resolve(1);
    });
  });
  const end = () => {
    child.ref();
    child.stdin.end();
    return ended;
  };
  createInterface({ input: child.stderr }).on('line', onLine).on('close', end);
  const unref = () => {
    for (const handle of [child, child.stdin as Socket, child.stderr as Socket]) handle.unref();
  };
  return { ended, end, unref };
}

/** The pid in postmaster.pid or in a socket's lock file; either may be left over from a crash. */
function readPid(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10);
  } catch {
    return 0;
  }
}

export function findPostmaster(cluster: string): number | undefined {
  const pid = readPid(path.join(cluster, 'postmaster.pid'));
  return isPostmaster(pid, cluster) ? pid : undefined;
}

/** Whether that pid is this cluster's postmaster; after a restart of the machine any process may have it. */
function isPostmaster(pid: number, cluster: string): boolean {
  const command = isAlive(pid) ? readCommand(pid) : '';
  return [` -D ${cluster} `, ` ${markOf(cluster)} `].some((mark) => command.includes(mark));
}

/** An argument of the server without any effect. The server knows its directory under another name, and `ps` shows this. */
export function markOf(cluster: string): string {
  return `gatehouse.directory=${cluster}`;
}

function readCommand(pid: number): string {
  if (process.platform !== 'linux')
    return spawnSync('ps', ['-o', 'command=', '-p', `${pid}`], { encoding: 'utf8' }).stdout;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** PostgreSQL ignores the lock of a process that has ended, but not one whose pid an unrelated process has now. */
export function removeStaleLock(file: string, cluster: string): void {
  const pid = readPid(file);
  if (isAlive(pid) && !isPostmaster(pid, cluster)) rmSync(file, { force: true });
}

/** For a postmaster whose supervisor was killed or is just ending it. */
export async function endPostmaster(pid: number, cluster: string): Promise<void> {
  const hasEnded = () => !isPostmaster(pid, cluster);
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (hasEnded()) return;
    signalPostmaster(pid, cluster, signal);
    for (const end = performance.now() + 15_000; !hasEnded() && performance.now() < end; ) await sleep(20);
  }
}

export function signalPostmaster(pid: number, cluster: string, signal: NodeJS.Signals): void {
  try {
    if (isPostmaster(pid, cluster)) process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
