import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { freePort, type TlsPostgres } from './tls-postgres.ts';

const version = /PgBouncer (\d+)\.(\d+)/.exec(spawnSync('pgbouncer', ['--version'], { encoding: 'utf8' }).stdout ?? '');

/** 118 for 1.18; undefined where PgBouncer is not installed. */
export const pgbouncerVersion = version ? Number(version[1]) * 100 + Number(version[2]) : undefined;

export interface BouncerOptions {
  readonly mode: 'session' | 'transaction' | 'statement';
  /** The role of all its connections to the server. */
  readonly role?: string;
  /** Further settings, as in pgbouncer.ini. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** Debian's PgBouncer before this PostgreSQL. Ended after the test. Returns the URL of a database. */
export async function startPgbouncer(server: TlsPostgres, { mode, role = 'postgres', settings = {} }: BouncerOptions) {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-pgbouncer-'));
  chmodSync(dir, 0o755);
  const port = await freePort();
  const file = path.join(dir, 'pgbouncer.ini');
  const all = {
    ...{ listen_addr: '127.0.0.1', listen_port: port, unix_socket_dir: '', auth_type: 'any' },
    ...{ pool_mode: mode, default_pool_size: 20, server_tls_sslmode: 'disable', ...settings },
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  const target = `* = host=${server.socketDir} port=${server.port} user=${role}`;
  writeFileSync(file, `[databases]\n${target}\n[pgbouncer]\n${lines.join('\n')}\n`);
  // It refuses to run as root, and the directory of the socket belongs to the user of PostgreSQL.
  const asOwner = process.getuid?.() === 0 ? ['-u', 'postgres'] : [];
  const child = spawn('pgbouncer', [...asOwner, file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (bytes) => (log += bytes));
  onTestFinished(() => {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  await listening(port, child, () => log);
  return (database: string) => `postgresql://${role}@127.0.0.1:${port}/${database}`;
}

async function listening(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended: ${log()}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    await sleep(50);
  }
}
