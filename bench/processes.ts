import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';

export interface Child {
  readonly pid: number;
  /** What the first group matched in its ready line. */
  readonly ready: string;
  /** What the second group matched there. */
  readonly readyToo: string;
  stop(): Promise<void>;
}

/** Starts a program of this repository and waits for the line on stdout that matches. */
export function startChild(args: string[], env: Record<string, string>, isReady: RegExp): Promise<Child> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = () => void child.kill();
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}`)));
    const lines = createInterface({ input: child.stdout! }).on('line', (line) => {
      const match = isReady.exec(line);
      if (!match) return;
      // A line per call follows, and reading those would be charged to the generator.
      lines.close();
      child.stdout!.resume();
      resolve({ pid: child.pid!, ready: match[1] ?? '', readyToo: match[2] ?? '', stop: () => stop(child) });
    });
  });
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

const ticksPerSecond = 100;

/** Seconds of CPU time that a process and its children have used, exited children included. */
export function cpuOf(pid: number, withChildren = false): number {
  const own = cpuTicks(pid, withChildren);
  const children = withChildren ? childrenOf(pid).reduce((sum, each) => sum + cpuTicks(each, true), 0) : 0;
  return (own + children) / ticksPerSecond;
}

/** Seconds of CPU time that the exited children of this process have used. */
export function cpuOfEnded(): number {
  return (cpuTicks(process.pid, true) - cpuTicks(process.pid, false)) / ticksPerSecond;
}

function cpuTicks(pid: number, withEnded: boolean): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    // utime, stime, cutime, cstime
    const places = withEnded ? [11, 12, 13, 14] : [11, 12];
    return places.reduce((sum, index) => sum + Number(fields[index]), 0);
  } catch {
    return 0;
  }
}

export function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return (
          Number(
            readFileSync(`/proc/${pid}/stat`, 'utf8')
              .replace(/^.*\) /s, '')
              .split(' ')[1],
          ) === parent
        );
      } catch {
        return false;
      }
    });
}

/** Resident memory in MB. */
export function memoryOf(pid: number): number {
  const [, kb] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kb) / 1024);
}

/** The same, with each page divided by the number of processes that share it. */
export function proportionalMemoryOf(pid: number): number {
  const [, kb] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
  return Math.round(Number(kb) / 1024);
}

export interface CpuTimes {
  readonly idle: number;
  readonly all: number;
}

/** CPU times of all cores together. */
export function cpuTimes(): CpuTimes {
  const each = cpus().map(({ times }) => times);
  const idle = each.reduce((sum, times) => sum + times.idle, 0);
  return { idle, all: each.flatMap((times) => Object.values(times)).reduce((sum, ms) => sum + ms, 0) };
}

/** How busy the machine has been since then, from 0 to 1, by all processes. */
export function busySince(start: CpuTimes): number {
  const now = cpuTimes();
  return 1 - (now.idle - start.idle) / (now.all - start.all);
}
