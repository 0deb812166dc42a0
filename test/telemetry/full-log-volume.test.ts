import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { freePort } from '../support/tls-postgres.ts';
import { fillerOn, mountVolume } from '../support/volume.ts';

/** A file on a volume of its own that is full. Where this user may mount none, a device that is always full. */
function fullVolume(): { file: string; empty: (() => void) | undefined } {
  const dir = mountVolume('size=64k', 'a log volume that has room again');
  if (!dir) return { file: '/dev/full', empty: undefined };
  const { fill, empty } = fillerOn(dir);
  fill(60_000);
  return { file: path.join(dir, 'log'), empty };
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
