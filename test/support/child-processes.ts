import { execFileSync } from 'node:child_process';

interface Listed {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** All processes of the machine, as `ps` lists them. */
export function listProcesses(): Listed[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [pid, parent, ...command] = line.trim().split(/ +/);
    return { pid: Number(pid), parent: Number(parent), command: command.join(' ') };
  });
}

/** The ids of the worker processes of a service. */
export function workersOf({ pid }: { pid: number }): number[] {
  return listProcesses().flatMap((each) => (each.parent === pid && each.command.includes('main.ts') ? each.pid : []));
}
