import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { testEnv } from '../support/people.ts';
import { newDataDir } from '../support/process.ts';

const root = path.join(import.meta.dirname, '../..');

test('at a terminal the service says where everything is, and the first call it names succeeds', async () => {
  const { MASTER_KEYS: _, SERVICE_KEYS: __, ...env } = testEnv as Record<string, string>;
  const dir = newDataDir();
  // script(1) of util-linux runs a command on a terminal of its own.
  const terminal = spawn('script', ['-qec', `exec '${process.execPath}' src/main.ts`, '/dev/null'], {
    cwd: root,
    env: { ...env, PATH: process.env.PATH!, DATA_DIR: dir, NODE_ENV: 'development', MAIL_MODE: 'capture' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    terminal.kill('SIGKILL');
    if (terminal.exitCode === null && terminal.signalCode === null) await once(terminal, 'exit');
  });
  let shown = '';
  terminal.stdout.on('data', (bytes) => (shown += bytes));
  await expect.poll(() => shown, { timeout: 20_000 }).toContain('Ctrl-C stops everything.');
  const lineOf = (name: string) => new RegExp(`^  ${name} +(.*?)\\r?$`, 'm').exec(shown)?.[1];
  expect(lineOf('Service key')).toBe(path.join(dir, 'service-key'));
  expect(lineOf('Database')).toBe(`embedded, in ${dir}`);
  expect(lineOf('gRPC')).toMatch(/^localhost:\d+$/);
  expect((await fetch(lineOf('Mail')!)).status).toBe(200);
  expect((await fetch(lineOf('Metrics')!)).status).toBe(200);
  const [, url, body] = /Try it: curl -s (\S+) -H '.*' -d '(.*)'/.exec(shown)!;
  const response = await fetch(url!, { method: 'POST', headers: { 'content-type': 'application/json' }, body: body! });
  expect(response.status).toBe(200);
});
