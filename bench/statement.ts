import { spawnSync } from 'node:child_process';
import { existsSync, globSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';

const clients = 8;

// What Refresh sends, with the conditions on generation and secret left true, so that it can be sent to any row.
const sql = (id: string): string => `update sessions s
   set generation = s.generation + 1, refreshed_at = now(),
     idle_expires_at = least(now() + s.idle_seconds * interval '1 second', s.expires_at),
     refresh_window_at = case when s.refresh_window_at <= now() - interval '1 minute' then now() else s.refresh_window_at end,
     refresh_count = case when s.refresh_window_at <= now() - interval '1 minute' then 1 else s.refresh_count + 1 end,
     address = '192.0.2.1', user_agent = 'bench'
   from users u
   where s.id = ${id} and s.generation >= 0 and s.secret_hash is not null
     and s.revoked_at is null and s.idle_expires_at > now() and s.expires_at > now()
     and u.id = s.user_id and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now())
   returning s.id, s.user_id, s.aal, s.amr, u.email, u.role, u.is_anonymous, u.app_metadata, u.user_metadata,
     u.must_change_password`;

/** Refreshes a second that PostgreSQL itself can bear on this machine: pgbench where there is one, else a bare loop. */
export async function statementRate(socketDir: string, sessions: number, seconds: number): Promise<number> {
  const pgbench = globSync('/usr/lib/postgresql/*/bin/pgbench')[0] ?? findOnPath('pgbench');
  return pgbench ? runPgbench(pgbench, socketDir, sessions, seconds) : runLoop(socketDir, sessions, seconds);
}

function runPgbench(pgbench: string, socketDir: string, sessions: number, seconds: number): number {
  const script = path.join('.reports', 'refresh.pgbench');
  const id = `('01900000-0000-7000-8000-' || lpad(to_hex(:n::int), 12, '0'))::uuid`;
  // The upper half: the lower half belongs to the calls that are measured.
  writeFileSync(
    script,
    `\\set n random(${Math.floor(sessions / 2)}, ${sessions - 1})\n${sql(id).replaceAll('\n', ' ')};\n`,
  );
  const args = ['-n', '-M', 'prepared', '-c', `${clients}`, '-j', '2', '-T', `${seconds}`, '-f', script];
  const run = spawnSync(pgbench, ['-h', socketDir, '-U', 'postgres', ...args, 'postgres'], { encoding: 'utf8' });
  const [, rate] = /tps = ([\d.]+) \(without/.exec(run.stdout) ?? [];
  if (!rate) throw new Error(`pgbench: ${run.stderr}`);
  return Number(rate);
}

async function runLoop(socketDir: string, sessions: number, seconds: number): Promise<number> {
  const endsAt = performance.now() + seconds * 1000;
  let done = 0;
  const loop = async (): Promise<void> => {
    const client = new pg.Client({ host: socketDir, user: 'postgres', database: 'postgres' });
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
