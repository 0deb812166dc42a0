import { readdirSync, readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';

/** An account that has a name in /etc/passwd. */
export interface NamedAccount {
  readonly name: string;
  readonly uid: number;
}

/** The accounts of /etc/passwd, root excepted. */
export function namedAccounts(): NamedAccount[] {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid]) => ({ name, uid: Number(uid) }))
    .filter(({ name, uid }) => name !== '' && uid > 0);
}

/** A named account that runs no process. Most systems have a dozen that never do. */
export function idleAccount(): NamedAccount | undefined {
  const busy = new Set(readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? ownerOfProcess(name) : [])));
  return namedAccounts().find(({ uid }) => !busy.has(uid));
}

function ownerOfProcess(pid: string): number[] {
  const found = statSync(`/proc/${pid}`, { throwIfNoEntry: false });
  return found ? [found.uid] : [];
}

/** Whether the user of this process has a name, in /etc/passwd or another source of the system. */
export function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}
