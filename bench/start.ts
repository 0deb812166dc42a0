import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '../src/database/embedded/postgres.ts';
import { migrate } from '../src/database/migrate.ts';
import { openOrm } from '../src/database/orm.ts';
import { cpuOf, descendantsOf, memoryOf, proportionalMemoryOf, startChild } from './processes.ts';
import { flags, settingsFor } from './stage.ts';

/* npm run bench:start. What a start costs, and what a replica takes while it is idle. */
const rounds = Number(process.argv[2] ?? 5);
/** Milliseconds until an idle process has returned memory. */
const idle = 14_000;

interface Start {
  /** Seconds of CPU until it is ready. */
  readonly cpu: number;
  /** MB while it is idle: the sum of resident memory, and the same with shared pages divided among those that share them. */
  readonly resident: number;
  readonly proportional: number;
}

const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-bench-'));
const cluster = await startEmbeddedPostgres(dir);
const url = cluster.url('postgres');
const orm = await openOrm(url);
await migrate(orm).finally(() => orm.close(true));
const main = [...flags, 'src/main.ts'];
const kinds = {
  'the fixed packages alone': () => measure([...flags, 'bench/fixed-imports.ts'], {}, /^ready (0)/),
  'one process': () => measure(main, settingsFor(url, {}), /"grpc":"([^"]+)".*"ready"/),
  'WORKERS=2': () => measure(main, settingsFor(url, { WORKERS: '2' }), /"grpc":"([^"]+)".*"ready"/),
  'one process, nothing compiled': () =>
    measure(main, settingsFor(url, { NODE_DISABLE_COMPILE_CACHE: '1' }), /"grpc":"([^"]+)".*"ready"/),
};
const measured = new Map<string, Start[]>();
// The first start of each kind compiles. It is not counted, and the others take turns.
for (let round = 0; round <= rounds; round++)
  for (const [name, start] of Object.entries(kinds)) {
    const found = await start();
    if (round > 0) measured.set(name, [...(measured.get(name) ?? []), found]);
  }
await cluster.stop();
rmSync(dir, { recursive: true, force: true });
report();

async function measure(args: string[], env: Record<string, string>, isReady: RegExp): Promise<Start> {
  const child = await startChild(args, env, isReady);
  const pids = [child.pid, ...descendantsOf(child.pid)];
  const sum = (of: (pid: number) => number): number => pids.reduce((total, pid) => total + of(pid), 0);
  const cpu = sum((pid) => cpuOf(pid));
  await sleep(idle);
  const start = { cpu, resident: sum(memoryOf), proportional: sum(proportionalMemoryOf) };
  await child.stop();
  return start;
}

function report(): void {
  const limit = middle('the fixed packages alone');
  const table = [...measured.keys()].map((name) => {
    const { cpu, resident, proportional } = middle(name);
    return {
      start: name,
      'CPU s': cpu.toFixed(2),
      'of the limit': (cpu / limit.cpu).toFixed(2),
      'resident MB': resident,
      'of the limit ': (resident / limit.resident).toFixed(2),
      'proportional MB': proportional,
    };
  });
  console.table(table);
}

function middle(name: string): Start {
  const median = (of: keyof Start): number =>
    measured
      .get(name)!
      .map((each) => each[of])
      .toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!;
  return { cpu: median('cpu'), resident: median('resident'), proportional: median('proportional') };
}
