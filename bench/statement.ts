import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { subjectColumns } from '../src/session/access-token.ts';
import { rotateOneSql } from '../src/session/refresh-statements.ts';

const clients = 8;

/** The statement of Refresh, for any row: it compares the row with its own generation and secret. */
function sql(id: string): string {
  const values: Record<string, string> = {
    now: 'now()',
    perMinute: '1000000000',
    userId: 's.user_id',
    sessionId: id,
    projectId: 's.project_id',
    generation: 's.generation',
    secretHash: 's.secret_hash',
    attemptHash: `'\\x000102030405060708090a0b0c0d0e0f'`,
    address: `'192.0.2.1'`,
    userAgent: `'bench'`,
  };
  return rotateOneSql(subjectColumns).replaceAll(
    /(?<!:):([a-z]+)/gi,
    (parameter, name: string) => values[name] ?? parameter,
  );
}

/** Refreshes a second that PostgreSQL itself completes on this machine, with pgbench or else in a bare loop. */
export async function statementRate(url: string, sessions: number, seconds: number): Promise<number> {
  const pgbench = globSync('/usr/lib/postgresql/*/bin/pgbench')[0] ?? findOnPath('pgbench');
  return pgbench ? runPgbench(pgbench, url, sessions, seconds) : runLoop(url, sessions, seconds);
}

function runPgbench(pgbench: string, url: string, sessions: number, seconds: number): number {
  mkdirSync('.reports', { recursive: true });
  const script = path.join('.reports', 'refresh.pgbench');
  const id = `('01900000-0000-7000-8000-' || lpad(to_hex(:n::int), 12, '0'))::uuid`;
  // The upper half: the lower half belongs to the calls that are measured.
  writeFileSync(
    script,
    `\\set n random(${Math.floor(sessions / 2)}, ${sessions - 1})\n${sql(id).replaceAll('\n', ' ')};\n`,
  );
  const args = ['-n', '-M', 'prepared', '-c', `${clients}`, '-j', '2', '-T', `${seconds}`, '-f', script];
  const run = spawnSync(pgbench, [...args, url], { encoding: 'utf8' });
  const [, rate] = /tps = ([\d.]+) \(without/.exec(run.stdout) ?? [];
  if (!rate) throw new Error(`pgbench: ${run.stderr}`);
  return Number(rate);
}

async function runLoop(url: string, sessions: number, seconds: number): Promise<number> {
  const endsAt = performance.now() + seconds * 1000;
  let done = 0;
  const loop = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    for (; performance.now() < endsAt; done++) {
      const n = Math.floor(sessions / 2 + (Math.random() * sessions) / 2);
      const id = `01900000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
      await client.query({ name: 'refresh', text: sql('$1'), values: [id] });
    }
    await client.end();
  };
  await Promise.all(Array.from({ length: clients }, loop));
  return done / seconds;
}

function findOnPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  return folders.map((each) => path.join(each, name)).find(existsSync);
}
