import { execFileSync } from 'node:child_process';

interface Listed {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** All processes of the machine: each command with its arguments and, if asked for, its environment. */
export function listProcesses({ withEnvironment = false } = {}): Listed[] {
  const selection = withEnvironment ? 'axeww' : '-e';
  const lines = execFileSync('ps', [selection, '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [pid, parent, ...command] = line.trim().split(/ +/);
    return { pid: Number(pid), parent: Number(parent), command: command.join(' ') };
  });
}

/** The ids of the worker processes of a service. */
export function workersOf({ pid }: { pid: number }): number[] {
  return listProcesses().flatMap((each) => (each.parent === pid && each.command.includes('main.ts') ? each.pid : []));
}
