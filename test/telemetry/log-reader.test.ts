import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';

const { MASTER_KEYS } = testEnv;

async function serveWithLog(workers: string) {
  const { url } = await createDatabase();
  const times = { SHUTDOWN_DELAY: '0', SHUTDOWN_GRACE: '5s' };
  return serve({ MASTER_KEYS, DATABASE_URL: url, LOG_LEVEL: 'info', WORKERS: workers, ...times });
}

test.each(['1', '2'])(
  'with WORKERS=%s a process whose log reader has gone serves, and ends on SIGTERM',
  async (workers) => {
    const { stdout, clients, end } = await serveWithLog(workers);
    stdout.destroy();
    for (let n = 0; n < 20; n++) await clients.json.auth.getSettings({});
    expect(await end()).toEqual({ code: 0, signal: null });
  },
);

test.each(['1', '2'])(
  'with WORKERS=%s a process whose log reader is stuck serves, and ends on SIGTERM',
  async (workers) => {
    const { stdout, clients, end } = await serveWithLog(workers);
    stdout.pause();
    const userAgent = 'x'.repeat(500);
    // More lines than the pipe and the buffers of the test can hold.
    for (let n = 0; n < 40; n++)
      await Promise.all(
        Array.from({ length: 50 }, () => clients.grpc.auth.getSettings({}, { headers: { 'user-agent': userAgent } })),
      );
    const startedAt = performance.now();
    await end();
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  },
);

test('a second signal ends a process whose log reader is stuck, although its delay is not over', async () => {
  const { url } = await createDatabase();
  const env = { MASTER_KEYS, DATABASE_URL: url, LOG_LEVEL: 'info', SHUTDOWN_DELAY: '60s', SHUTDOWN_GRACE: '60s' };
  const { stdout, clients, kill, ended } = await serve(env);
  stdout.pause();
  const headers = { 'user-agent': 'x'.repeat(500) };
  for (let n = 0; n < 40; n++)
    await Promise.all(Array.from({ length: 50 }, () => clients.grpc.auth.getSettings({}, { headers })));
  kill('SIGTERM');
  await sleep(1200);
  const startedAt = performance.now();
  kill('SIGTERM');
  await ended;
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});
