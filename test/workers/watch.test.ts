import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { workersOf } from '../support/child-processes.ts';
import { createDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { Scrape } from '../support/scrape.ts';

// Each test starts several processes, and waits for more than ten seconds.
vi.setConfig({ testTimeout: 90_000 });

async function serveTwo(env: Record<string, string> = {}) {
  const { url: DATABASE_URL } = await createDatabase();
  const service = await serve({ MASTER_KEYS: testEnv.MASTER_KEYS, DATABASE_URL, WORKERS: '2', ...env });
  const scrape = async () => new Scrape(await (await fetch(`${service.ready.admin}/metrics`)).text());
  const killed = () => service.log().filter(({ msg }) => msg === 'a worker does not respond and is killed');
  return { ...service, scrape, killed };
}

type Service = Awaited<ReturnType<typeof serveTwo>>;

/** Waits until two workers serve that are none of these. */
async function waitForSuccessors(service: Service, former: readonly number[]): Promise<void> {
  const serving = async () => ({
    workers: (await service.scrape()).value('gatehouse_workers'),
    former: workersOf(service).filter((pid) => former.includes(pid)),
  });
  await expect.poll(serving, { timeout: 25_000, interval: 250 }).toEqual({ workers: 2, former: [] });
}

/** Whether a call on a new connection succeeds at once. A hanging worker may have accepted it. */
async function isServed({ ready }: Service): Promise<boolean> {
  const headers = { 'content-type': 'application/json', connection: 'close' };
  const url = `${ready.http}/gatehouse.v1.AuthService/GetSettings`;
  const call = fetch(url, { method: 'POST', headers, body: '{}', signal: AbortSignal.timeout(1000) });
  return call.then(
    async (response) => (await response.text()) !== '' && response.status === 200,
    () => false,
  );
}

test('a stopped worker is killed and replaced within seconds, and the other one serves meanwhile', async () => {
  const service = await serveTwo();
  const [stopped, other] = workersOf(service);
  process.kill(stopped!, 'SIGSTOP');
  const since = performance.now();
  let served = 0;
  while (service.killed().length === 0 && performance.now() - since < 20_000) {
    if (await isServed(service)) served++;
    expect((await fetch(`${service.ready.admin}/readyz`)).status).toBe(200);
    await sleep(200);
  }
  expect(performance.now() - since, 'not before the limit').toBeGreaterThan(8000);
  expect(served).toBeGreaterThan(20);
  await waitForSuccessors(service, [stopped!]);
  expect(workersOf(service)).toContain(other);
  expect(service.killed()).toMatchObject([{ level: 50, pid: stopped, seconds: 10 }]);
  const scraped = await service.scrape();
  expect(scraped.value('gatehouse_worker_hangs_total')).toBe(1);
  expect(scraped.value('gatehouse_worker_deaths_total')).toBe(1);
  expect(scraped.value('gatehouse_ready')).toBe(1);
});

test('while all workers are in endless loops the replica is live but not ready, until they are replaced', async () => {
  // The workers have the ports after it, below those that the system gives away.
  const debuggerPort = 20_000 + Math.floor(Math.random() * 10_000);
  const options = { NODE_OPTIONS: `--inspect-port=${debuggerPort}` };
  // Without a worker a listening socket is closed, and the next one of port 0 would have another port.
  const service = await serveTwo({ ...options, HTTP_PORT: `${debuggerPort + 5}` });
  const looping = workersOf(service);
  for (const pid of looping) await loopForever(service, pid);
  const probe = async (path: string) => (await fetch(`${service.ready.admin}${path}`)).status;
  await expect.poll(() => probe('/readyz'), { timeout: 9000, interval: 100 }).toBe(503);
  expect(await probe('/livez'), 'the primary responds').toBe(200);
  const scraped = await service.scrape();
  expect(scraped.value('gatehouse_workers')).toBe(0);
  expect(scraped.value('gatehouse_ready')).toBe(0);
  await waitForSuccessors(service, looping);
  expect(await probe('/readyz')).toBe(200);
  await expect.poll(() => isServed(service)).toBe(true);
  expect((await service.scrape()).value('gatehouse_worker_hangs_total')).toBe(2);
});

/** Blocks the event loop of a process, by way of its debugger. */
async function loopForever({ output }: Service, pid: number): Promise<void> {
  const urls = () => [...output.stderr.matchAll(/^Debugger listening on (ws:\S+)$/gm)].map(([, url]) => url!);
  const before = urls().length;
  process.kill(pid, 'SIGUSR1');
  await expect.poll(() => urls().length, { timeout: 10_000 }).toBe(before + 1);
  const socket = new WebSocket(urls().at(-1)!);
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'for (;;);' } }));
}

test('no worker is killed after the primary, or the whole replica, was suspended', async () => {
  const service = await serveTwo();
  const workers = workersOf(service);
  for (const suspended of [[service.pid], [service.pid, ...workers]]) {
    for (const pid of suspended) process.kill(pid, 'SIGSTOP');
    await sleep(13_000);
    for (const pid of suspended) process.kill(pid, 'SIGCONT');
    await sleep(3000);
  }
  expect(workersOf(service)).toEqual(workers);
  expect(service.killed()).toEqual([]);
  const scraped = await service.scrape();
  expect(scraped.value('gatehouse_worker_hangs_total')).toBe(0);
  expect(scraped.value('gatehouse_workers')).toBe(2);
});

test('a worker that hangs while it stops is killed by the limit of the stop', async () => {
  const service = await serveTwo({ SHUTDOWN_GRACE: '1s', SHUTDOWN_DELAY: '0s' });
  process.kill(workersOf(service)[0]!, 'SIGSTOP');
  expect(await service.end()).toEqual({ code: 0, signal: null });
  expect(service.killed()).toEqual([]);
});
