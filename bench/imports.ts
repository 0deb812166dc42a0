import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cpuOfEnded } from './processes.ts';
import type { Stage } from './stage.ts';

export interface Imported {
  readonly lines: number;
  /** Lines a second, from the start of the process to its end. */
  readonly rate: number;
  /** Lines a second when all users exist already. */
  readonly rateAgain: number;
  /** Microseconds of CPU per line. */
  readonly appCpu: number;
  readonly databaseCpu: number;
}

// The cost does not matter: an import hashes nothing.
const hash = '$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy';

/** `npm start -- import` of a file of users, and of the same file again. */
export async function measureImport(stage: Stage, lines: number): Promise<Imported> {
  process.stderr.write(`Import: ${lines} lines ...\n`);
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-import-'));
  const file = path.join(dir, 'users.jsonl');
  try {
    writeFileSync(file, Array.from({ length: lines }, (_, n) => `${lineOf(n)}\n`).join(''));
    const before = stage.cpu().database;
    const first = await run(stage, file);
    const databaseCpu = ((stage.cpu().database - before) / lines) * 1e6;
    const again = await run(stage, file);
    const appCpu = (first.cpu / lines) * 1e6;
    return { lines, rate: lines / first.seconds, rateAgain: lines / again.seconds, appCpu, databaseCpu };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function lineOf(n: number): string {
  return JSON.stringify({
    ...{ email: `imported${n}@example.org`, name: `Imported ${n}`, email_verified: n % 2 === 0 },
    ...{ password_hash: hash, created_at: '2020-01-01T00:00:00Z', locale: 'en' },
    user_metadata: { theme: 'dark', number: n },
  });
}

interface Run {
  readonly seconds: number;
  /** Seconds of CPU. */
  readonly cpu: number;
}

async function run({ settings }: Stage, file: string): Promise<Run> {
  const begun = performance.now();
  const before = cpuOfEnded();
  const child = spawn(process.execPath, ['src/main.ts', 'import', file], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the import ended with ${code}`);
  return { seconds: (performance.now() - begun) / 1000, cpu: cpuOfEnded() - before };
}
