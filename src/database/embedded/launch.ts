import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgresError } from './binaries.ts';
import { endPostmaster, findPostmaster, type Supervised } from './postmaster.ts';

/** This process holds the directory, so a postmaster found in it belongs to a Gatehouse that was just killed. */
export async function endPrevious(cluster: string, log: (line: string) => void): Promise<void> {
  const pid = findPostmaster(cluster);
  if (pid === undefined) return;
  log(`waiting for the PostgreSQL of an earlier start (process ${pid}) to end`);
  await endPostmaster(pid, cluster);
}

type Start = (onLine: (line: string) => void) => Supervised;

export interface Running {
  readonly server: Supervised;
  readonly pid: number;
}

/** Backends can outlive a killed postmaster for a moment, and PostgreSQL refuses to start beside them. */
export async function launchPatiently(start: Start, cluster: string, log: (line: string) => void): Promise<Running> {
  for (const deadline = performance.now() + 15_000; ; await sleep(200)) {
    try {
      return await launch(start, log);
    } catch (error) {
      await endPrevious(cluster, log);
      const isBusy = /is still in use|already exists/.test((error as Error).message);
      if (!isBusy || performance.now() > deadline) throw error;
    }
  }
}

const readyLine = /^postmaster\[(\d+)\] LOG: {2}database system is ready to accept connections/;

/** Errors of client backends are left out: the client receives them, and they may quote what it sent, as may any DETAIL. */
const noteworthyLine =
  /^(?!client backend)[\w ]+\[\d+\] (?:(?:WARNING|ERROR|FATAL|PANIC):|LOG:.* terminated by signal )/;

function launch(start: Start, log: (line: string) => void): Promise<Running> {
  return new Promise((resolve, reject) => {
    const startup: string[] = [];
    let isReady = false;
    const fail = (what: string) => {
      clearTimeout(patience);
      const message = `PostgreSQL ${what}:\n${startup.slice(-20).join('\n')}`;
      server.end().then(() => reject(new EmbeddedPostgresError('NOT_STARTED', message)));
    };
    // Recovery after a crash may take longer, but logs its progress every ten seconds.
    const patience = setTimeout(() => fail('has logged nothing for 30 s'), 30_000);
    const server = start((line) => {
      if (isReady) return noteworthyLine.test(line) ? log(line) : undefined;
      patience.refresh();
      startup.push(line);
      const pid = readyLine.exec(line)?.[1];
      if (pid === undefined) return;
      isReady = true;
      clearTimeout(patience);
      resolve({ server, pid: Number(pid) });
    });
    server.ended.then(() => fail('did not start'));
  });
}
