import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { freePort } from '../support/tls-postgres.ts';

/** A file on a volume of its own that is full. Where this user may mount none, a device that is always full. */
function fullVolume(): { file: string; empty: (() => void) | undefined } {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-log-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    console.warn('NOT TRIED: a log volume that has room again, because this user may not mount one');
    return { file: '/dev/full', empty: undefined };
  }
  onTestFinished(() => void execFileSync('umount', ['-l', dir]));
  const filler = path.join(dir, 'filler');
  writeFileSync(filler, Buffer.alloc(60_000));
  return { file: path.join(dir, 'log'), empty: () => rmSync(filler) };
}

test.each<[workers: string, hasRoomAgain: boolean]>([
  ['1', true],
  ['1', false],
  ['2', false],
])(
  'with WORKERS=%s a process whose log volume is full serves, and ends on SIGTERM (room again: %s)',
  async (WORKERS, hasRoomAgain) => {
    const { file, empty } = fullVolume();
    const { url } = await createDatabase();
    const [GRPC_PORT, HTTP_PORT] = [`${await freePort()}`, `${await freePort()}`];
    const env = { ...testEnv, DATABASE_URL: url, ADMIN_PORT: 'off', LOG_LEVEL: 'info', GRPC_PORT, HTTP_PORT, WORKERS };
    const log = openSync(file, 'a');
    const child = spawn(process.execPath, ['src/main.ts', 'serve'], {
      env: { PATH: process.env.PATH!, ...env },
      stdio: ['ignore', log, 'inherit'],
    });
    closeSync(log);
    const ended = once(child, 'exit');
    onTestFinished(() => void child.kill('SIGKILL'));

    const call = () =>
      fetch(`http://127.0.0.1:${HTTP_PORT}/gatehouse.v1.AuthService/GetSettings`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
        signal: AbortSignal.timeout(5000),
      }).then(({ status }) => status);
    await expect.poll(() => call().catch(() => 0), { timeout: 20_000, interval: 100 }).toBe(200);
    for (let n = 0; n < 300; n++) expect(await call()).toBe(200);
    if (empty && hasRoomAgain) {
      const before = readFileSync(file).length;
      empty();
      expect(await call()).toBe(200);
      await expect.poll(() => readFileSync(file).length).toBeGreaterThan(before);
    }
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  },
);
