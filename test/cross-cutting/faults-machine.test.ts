import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { run, serve } from '../support/process.ts';
import { mountVolume } from '../support/volume.ts';
import { Journal } from './journal.ts';

const main = path.join(import.meta.dirname, '../../src/main.ts');

/** Lets a process run for 10 of 100 milliseconds. */
function throttle(pid: number): () => void {
  let isStopped = false;
  const timer = setInterval(() => {
    process.kill(pid, 'SIGSTOP');
    setTimeout(() => !isStopped && process.kill(pid, 'SIGCONT'), 90);
  }, 100);
  const release = () => {
    if (isStopped) return;
    isStopped = true;
    clearInterval(timer);
    process.kill(pid, 'SIGCONT');
  };
  onTestFinished(release);
  return release;
}

test('with a tenth of a CPU calls succeed late or are refused as busy, and with all of it they succeed', async () => {
  const database = await createDatabase();
  const { MASTER_KEYS } = testEnv;
  const service = await serve({ MASTER_KEYS, DATABASE_URL: database.url, AUTO_CONFIRM_EMAIL: 'on', LIMITS: '*=off' });
  const journal = new Journal();
  for (let writer = 0; writer < 6; writer++) journal.write(service.clients[writer % 2 ? 'grpc' : 'json']);
  await journal.progress(6);
  const release = throttle(service.pid);
  await sleep(5000);
  release();
  await journal.progress(6);
  await journal.stop();
  await journal.check(database.query);
  const refused = journal.entries.filter(({ outcome }) => outcome !== 'acked').map(({ reason }) => reason);
  for (const reason of refused) expect(['SERVER_BUSY', 'DATABASE_UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain(reason);
  expect((await service.end()).code).toBe(0);
});

test('a data directory on a read-only file system is refused by name', async () => {
  const dir = mountVolume('size=1m,ro', 'a read-only file system');
  if (!dir) return;
  const { code, stderr } = await run(['serve'], {
    ...{ DATABASE_URL: '', NODE_ENV: 'development', MASTER_KEYS: '', SERVICE_KEYS: '' },
    DATA_DIR: path.join(dir, 'data'),
  });
  expect(code).toBe(78);
  expect(stderr).toContain(dir);
  expect(stderr).toContain('a writable DATA_DIR');
});

test('a process whose open files are used up by connections goes on, and serves once they have left', async () => {
  const { url } = await createDatabase();
  const env = { ...testEnv, DATABASE_URL: url, DATABASE_POOL_SIZE: '4', CONNECTIONS_PER_ADDRESS: '0' };
  const limited = spawn('sh', ['-c', `ulimit -n 64 && exec '${process.execPath}' '${main}' serve`], {
    env: { PATH: process.env.PATH!, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void limited.kill('SIGKILL'));
  let log = '';
  limited.stdout.on('data', (bytes) => (log += bytes));
  await expect.poll(() => log, { timeout: 20_000 }).toContain('"ready"');
  const { http } = JSON.parse(log.split('\n').find((line) => line.includes('"ready"'))!) as { http: string };
  const signUp = () =>
    fetch(`${http}/gatehouse.v1.AuthService/SignUpAnonymous`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
      signal: AbortSignal.timeout(2000),
    }).then(
      ({ status }) => status,
      () => 'no response',
    );
  expect(await signUp()).toBe(200);
  const crowd = Array.from({ length: 200 }, () =>
    connect(Number(new URL(http).port), '127.0.0.1').on('error', () => {}),
  );
  onTestFinished(() => crowd.forEach((each) => void each.destroy()));
  await sleep(1000);
  expect([200, 503, 'no response']).toContain(await signUp());
  expect(limited.exitCode).toBe(null);
  for (const each of crowd) each.destroy();
  await expect.poll(signUp).toBe(200);
  limited.kill('SIGTERM');
  expect(await once(limited, 'exit')).toEqual([0, null]);
});

/** Limits the memory of a process by a control group of its own. False where this user or this kernel cannot. */
function limitMemory(pid: number, bytes: number): boolean {
  const [version1, version2] = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'];
  const isFirst = existsSync(version1);
  const group = path.join(isFirst ? version1 : version2, `gatehouse-test-${pid}`);
  try {
    mkdirSync(group);
    onTestFinished(() => rmdirSync(group));
    writeFileSync(path.join(group, isFirst ? 'memory.limit_in_bytes' : 'memory.max'), `${bytes}`);
    writeFileSync(path.join(group, 'cgroup.procs'), `${pid}`);
    return true;
  } catch {
    return false;
  }
}

test('a worker that the kernel kills for its memory is replaced, and no acknowledged write is lost', async () => {
  const database = await createDatabase();
  const env = { DATABASE_URL: database.url, AUTO_CONFIRM_EMAIL: 'on', LIMITS: '*=off', WORKERS: '2' };
  const service = await serve(env);
  const journal = new Journal();
  for (let writer = 0; writer < 4; writer++) journal.write(service.clients[writer % 2 ? 'grpc' : 'json']);
  await journal.progress(8);
  const worker = Number(execFileSync('pgrep', ['-P', `${service.pid}`], { encoding: 'utf8' }).split('\n')[0]);
  // Only what the worker allocates from now on counts.
  if (!limitMemory(worker, 8 * 1024 * 1024)) {
    await journal.stop();
    return console.error('NOT TRIED: a worker without memory, because this user has no control group');
  }
  await expect.poll(() => existsSync(`/proc/${worker}`), { timeout: 20_000 }).toBe(false);
  await journal.progress(8, 20_000);
  await journal.stop();
  await journal.check(database.query);
  expect(journal.entries.filter(({ outcome }) => outcome === 'refused')).toEqual([]);
  expect((await service.end()).code).toBe(0);
});
