import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { listProcesses, workersOf } from '../support/child-processes.ts';
import { createDatabase } from '../support/database.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { ada, testEnv } from '../support/people.ts';
import { launch, newDataDir, serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { reasonOf } from '../support/refusal.ts';
import { Scrape } from '../support/scrape.ts';
import { bearer, clientsOver } from '../support/start.ts';

const { MASTER_KEYS } = testEnv;
const calls = 'rpc_server_call_duration_seconds_count';

type Service = Awaited<ReturnType<typeof serve>>;

/** Two workers on their own database, through a proxy that can hold their statements. */
async function serveTwo(env: Record<string, string> = {}) {
  const database = await createDatabase();
  const proxy = await startProxy();
  const service = await serve({ MASTER_KEYS, DATABASE_URL: proxy.url(database), WORKERS: '2', ...env });
  const scrape = async () => new Scrape(await (await fetch(`${service.ready.admin}/metrics`)).text());
  return { ...service, database, proxy, scrape };
}

const living = (pids: readonly number[]) => listProcesses().filter(({ pid }) => pids.includes(pid));

/** The database on this directory, and the processes with it in their environment. */
const runningOn = (dir: string) =>
  listProcesses({ withEnvironment: true }).filter(({ command }) => command.includes(dir));

const outcomeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    (error) => reasonOf(error) ?? String(error),
  );

/** Calls over both transports, four at a time, until stopped; each client keeps its connection. */
function callSteadily({ ready }: Service, retries: RegExp | undefined) {
  const seen = { ok: 0, lost: [] as string[] };
  let isOver = false;
  const signUp = async (call: () => Promise<unknown>) => {
    for (const deadline = performance.now() + 10_000; ; await sleep(20)) {
      const outcome = await outcomeOf(call());
      if (!retries?.test(outcome) || performance.now() > deadline) return outcome;
    }
  };
  const repeat = async (call: () => Promise<unknown>) => {
    while (!isOver) {
      const outcome = await signUp(call);
      if (outcome === 'ok') seen.ok++;
      else seen.lost.push(outcome);
      await sleep(20); // leaves most of the CPU to the starting worker
    }
  };
  const clients = Array.from({ length: 2 }, () => {
    const { transport, close } = grpcTransport(ready.grpc);
    onTestFinished(close);
    return repeat(() => clientsOver(transport).auth.signUpAnonymous({}));
  });
  const signUpOverJson = async () => {
    const headers = { 'content-type': 'application/json' };
    const url = `${ready.http}/gatehouse.v1.AuthService/SignUpAnonymous`;
    const answer = await fetch(url, { method: 'POST', headers, body: '{}' });
    await answer.text();
    if (answer.status !== 200) throw new Error(`${answer.status}`);
  };
  clients.push(...Array.from({ length: 2 }, () => repeat(signUpOverJson)));
  const end = async () => {
    isOver = true;
    await Promise.all(clients);
    return seen;
  };
  return { seen, end };
}

// Each test starts several processes, which compete for the CPUs.
vi.setConfig({ testTimeout: 60_000 });

test('several workers serve the same ports as one replica, and a worker that ends is replaced', async () => {
  const service = await serveTwo({ MAX_IN_FLIGHT: '100' });
  expect(service.ready).toMatchObject({ workers: 2, database: 'external' });
  expect(service.log().filter(({ msg }) => msg === 'ready')).toHaveLength(1);
  expect(workersOf(service)).toHaveLength(2);
  const migrated = service.proxy.statements.filter(({ text }) => text.includes('pg_try_advisory_lock('));
  expect(migrated).toHaveLength(1);

  let made = 0;
  const served = () => new Set(service.log().flatMap(({ method, worker }) => (method ? [worker] : [])));
  while (served().size < 2) {
    const headers = { 'content-type': 'application/json', connection: 'close' };
    const url = `${service.ready.http}/gatehouse.v1.AuthService/SignUpAnonymous`;
    const answers = Array.from({ length: 8 }, () => fetch(url, { method: 'POST', headers, body: '{}' }));
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    await service.clients.grpc.auth.signUpAnonymous({});
    made += 9;
  }
  const scraped = await service.scrape();
  expect(scraped.value(calls, { rpc_method: 'gatehouse.v1.AuthService/SignUpAnonymous' })).toBe(made);
  expect(scraped.value('gatehouse_workers')).toBe(2);
  expect(scraped.value('gatehouse_ready'), 'one replica').toBe(1);
  expect(scraped.value('gatehouse_signing_keys', { state: 'active' }), 'not one per worker').toBe(1);
  expect(scraped.value('gatehouse_database_pool_limit'), 'of the replica').toBe(30);
  expect(scraped.value('gatehouse_database_pool_connections'), 'two workers have more than one').toBeGreaterThan(1);

  await killOne(service);
});

/** Kills a worker: it is replaced, retried calls succeed, and no counter decreases. */
async function killOne(service: Awaited<ReturnType<typeof serveTwo>>): Promise<void> {
  const steady = callSteadily(service, /UNAVAILABLE|unavailable|fetch failed|ECONNRESET/);
  await expect.poll(() => steady.seen.ok, { timeout: 10_000 }).toBeGreaterThan(50);
  const before = workersOf(service);
  const counted = (await service.scrape()).value(calls)!;
  process.kill(before[0]!, 'SIGKILL');
  await expect.poll(() => service.log().some(({ msg }) => msg === 'a worker has ended unexpectedly')).toBe(true);
  const after = await service.scrape();
  expect(after.value('gatehouse_worker_deaths_total')).toBe(1);
  expect(after.value(calls)).toBeGreaterThanOrEqual(counted);
  await expect.poll(async () => (await service.scrape()).value('gatehouse_workers'), { timeout: 10_000 }).toBe(2);
  const now = workersOf(service);
  expect(now).toHaveLength(2);
  expect(now).toContain(before[1]);
  expect(now).not.toContain(before[0]);
  const { ok, lost } = await steady.end();
  expect(lost).toEqual([]);
  const [{ n } = { n: 0 }] = await service.database.query<{ n: number }>('select count(*)::int as n from users');
  expect(n).toBeGreaterThanOrEqual(ok);
}

test('a rolling restart loses no call, even without retries, and counters keep their values', async () => {
  const service = await serveTwo({ SHUTDOWN_DELAY: '1s' });
  const before = workersOf(service);
  const steady = callSteadily(service, undefined);
  await expect.poll(() => steady.seen.ok, { timeout: 10_000 }).toBeGreaterThan(50);
  service.kill('SIGHUP');
  const readiness = new Set<number>();
  const live = new Set<number>();
  while (!service.log().some(({ msg }) => msg === 'restarted')) {
    for (const port of [service.ready.admin, service.ready.http]) readiness.add((await fetch(`${port}/readyz`)).status);
    live.add((await service.scrape()).value('gatehouse_workers')!);
    await sleep(150);
  }
  const { ok, lost } = await steady.end();
  expect(lost).toEqual([]);
  expect([...readiness], 'as a balancer sees it').toEqual([200]);
  expect(Math.min(...live), 'the new worker starts first').toBe(2);
  expect(workersOf(service)).toHaveLength(2);
  expect(living(before)).toEqual([]);
  const scraped = await service.scrape();
  const answered = { rpc_method: 'gatehouse.v1.AuthService/SignUpAnonymous', rpc_response_status_code: 'OK' };
  expect(scraped.value(calls, answered), 'includes calls of the ended workers').toBe(ok);
  expect(scraped.value('gatehouse_worker_deaths_total')).toBe(0);
});

test('on a signal to the whole group it is unready immediately, finishes its calls and exits with 0', async () => {
  const service = await serveTwo({ SHUTDOWN_DELAY: '3s', SHUTDOWN_GRACE: '20s' });
  const workers = workersOf(service);
  for (const pid of workers) for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.kill(pid, signal);
  const held = [service.clients.grpc, service.clients.json].map(async ({ auth }) => {
    const reached = service.proxy.hold('before', 'insert_users');
    return { outcome: outcomeOf(auth.signUpAnonymous({})), held: await reached };
  });
  const underWay = [await held[0]!, await held[1]!];
  const told = performance.now();
  for (const pid of [service.pid, ...workers]) process.kill(pid, 'SIGINT');
  const readyz = async () => (await fetch(`${service.ready.admin}/readyz`)).status;
  await expect.poll(readyz, { timeout: 2000, interval: 20 }).toBe(503);
  expect((await service.get('/livez')).status, 'during the delay').toBe(200);
  await sleep(4500 - (performance.now() - told));
  await expect(service.get('/livez'), 'after the delay').rejects.toThrow('fetch failed');
  expect((await service.scrape()).value('gatehouse_calls_in_flight'), 'metrics are served during the shutdown').toBe(2);
  for (const each of underWay) each.held.letGo();
  for (const each of underWay) expect(await each.outcome).toBe('ok');
  expect(await service.ended).toEqual({ code: 0, signal: null });
  expect(living(workers)).toEqual([]);
  expect(await service.database.query('select id from users')).toHaveLength(2);
  expect(service.log().at(-1)).toMatchObject({ msg: 'stopped' });
});

test('stopped or killed, it ends together with its embedded database, and acknowledged writes are kept', async () => {
  const dir = newDataDir();
  const env = { DATA_DIR: dir, WORKERS: '2', MASTER_KEYS: '', SERVICE_KEYS: '', AUTO_CONFIRM_EMAIL: 'on' };
  const first = await serve(env);
  expect(first.ready.database).toBe('embedded');
  const { tokens } = await first.clients.json.auth.register(ada);
  const workers = workersOf(first);
  expect(await first.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
  await expect.poll(() => [...living(workers), ...runningOn(dir)], { timeout: 10_000 }).toEqual([]);
  const second = await serve(env);
  expect((await second.clients.grpc.auth.getMe({}, bearer(tokens!))).user!.email).toBe(ada.email);
  const secondWorkers = workersOf(second);
  expect(await second.end('SIGTERM')).toEqual({ code: 0, signal: null });
  expect([...living(secondWorkers), ...runningOn(dir)]).toEqual([]);
});

test('a port in use is named in the only line of output, and no process remains', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => void taken.close());
  const port = `${(taken.address() as { port: number }).port}`;
  const refused = async (name: string, env: Record<string, string> = {}) => {
    const dir = newDataDir();
    const starting = launch(['serve'], { DATA_DIR: dir, MASTER_KEYS, WORKERS: '2', [name]: port, ...env });
    expect(await starting.ended, name).toEqual({ code: 1, signal: null });
    expect(starting.output.stderr).toMatch(new RegExp(`^[^\\n]*EADDRINUSE[^\\n]* 127.0.0.1:${port}[^\\n]*\\n$`));
    expect(runningOn(dir)).toEqual([]);
  };
  const { url: DATABASE_URL } = await createDatabase();
  // Several times: the second worker is killed at another moment of its start each time.
  for (let n = 0; n < 4; n++) await refused('GRPC_PORT', { DATABASE_URL });
  await refused('HTTP_PORT');
  await refused('ADMIN_PORT', { DATABASE_URL });
});

test('workers that cannot start are retried with growing waits while others serve, and a scrape does not wait for a hanging worker', async () => {
  const file = path.join(newDataDir(), '../master-keys');
  writeFileSync(file, MASTER_KEYS);
  const service = await serveTwo({ MASTER_KEYS: '', MASTER_KEYS_FILE: file, SHUTDOWN_GRACE: '0s' });
  renameSync(file, `${file}.gone`);
  service.kill('SIGHUP');
  await expect.poll(() => service.log().map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/^a new worker/));
  expect(workersOf(service)).toHaveLength(2);
  process.kill(workersOf(service)[0]!, 'SIGKILL');
  const deaths = () =>
    service.log().flatMap(({ msg, time }) => (msg === 'a worker has ended unexpectedly' ? Date.parse(`${time}`) : []));
  await expect.poll(deaths, { timeout: 10_000 }).toHaveLength(4);
  const [, , third, fourth] = deaths();
  expect(fourth! - third!).toBeGreaterThanOrEqual(1000);
  expect(await outcomeOf(service.clients.json.auth.signUpAnonymous({}))).toBe('ok');
  expect((await service.scrape()).value('gatehouse_workers')).toBe(1);
  renameSync(`${file}.gone`, file);
  await expect.poll(async () => (await service.scrape()).value('gatehouse_workers'), { timeout: 10_000 }).toBe(2);

  process.kill(workersOf(service)[0]!, 'SIGSTOP');
  const told = performance.now();
  expect(await service.end()).toEqual({ code: 0, signal: null });
  expect(performance.now() - told).toBeLessThan(5000);
});
