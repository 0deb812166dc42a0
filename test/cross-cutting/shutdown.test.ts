import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { createDatabase } from '../support/database.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { reasonOf } from '../support/refusal.ts';
import { clientsOver, start } from '../support/start.ts';

/** A process behind a proxy with which the test delays the database. */
async function serveOnProxy(env: Record<string, string>) {
  const database = await createDatabase();
  const proxy = await startProxy();
  const { MASTER_KEYS } = testEnv;
  const service = await serve({ MASTER_KEYS, DATABASE_URL: proxy.url(database), ...env });
  const connections = () =>
    database.query(
      `select pid from pg_stat_activity where datname = current_database() and application_name = 'gatehouse'`,
    );
  return { ...service, proxy, database, connections };
}

const statusOf = (get: (path: string) => Promise<Response>, path: string) =>
  get(path).then(
    ({ status }) => status,
    () => 'refused',
  );

const outcomeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    (error) => reasonOf(error) ?? String(error),
  );

test('after SIGTERM a process is unready immediately, serves for the delay, finishes its calls and exits with 0', async () => {
  const service = await serveOnProxy({ SHUTDOWN_DELAY: '4s', SHUTDOWN_GRACE: '20s', DATABASE_POOL_SIZE: '60' });
  const { clients, proxy, get, database } = service;
  expect(await statusOf(get, '/readyz')).toBe(200);
  const crowd = () =>
    [clients.grpc, clients.json].flatMap(({ auth }) =>
      Array.from({ length: 25 }, () => outcomeOf(auth.signUpAnonymous({}))),
    );
  await Promise.all(crowd()); // now the pool has a connection for each
  const told = performance.now();
  service.kill('SIGTERM');
  await expect.poll(() => statusOf(get, '/readyz'), { timeout: 2500, interval: 20 }).toBe(503);
  expect(await statusOf(get, '/livez')).toBe(200);
  expect((await clients.grpc.health.check({})).status).toBe(Status.NOT_SERVING);
  // The load balancer has not noticed yet: its calls are served, and the readiness probe keeps failing.
  while (performance.now() - told < 2800) {
    expect(await outcomeOf(clients.grpc.auth.signUpAnonymous({}))).toBe('ok');
    expect(await outcomeOf(clients.json.auth.signUpAnonymous({}))).toBe('ok');
    expect(await statusOf(get, '/readyz')).toBe(503);
  }
  proxy.delay = 200; // each call now takes about two seconds, longer than the rest of the delay
  const inFlight = crowd();
  await expect.poll(() => statusOf(get, '/livez'), { timeout: 5000, interval: 50 }).toBe('refused');
  expect(performance.now() - told, 'not before the delay is over').toBeGreaterThan(3900);
  expect(new Set(await Promise.all(inFlight))).toEqual(new Set(['ok']));
  expect(await service.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - told).toBeLessThan(16_000);
  await expect.poll(service.connections).toEqual([]);
  const [{ n } = { n: 0 }] = await database.query<{ n: number }>('select count(*)::int as n from users');
  expect(n).toBeGreaterThanOrEqual(100);
  expect(service.log().at(-1)).toMatchObject({ msg: 'stopped' });
});

test('hanging calls are ended with SHUTTING_DOWN after SHUTDOWN_GRACE', async () => {
  const service = await serveOnProxy({ SHUTDOWN_DELAY: '0s', SHUTDOWN_GRACE: '1s' });
  const { clients, proxy, database } = service;
  const hanging = await Promise.all(
    [clients.grpc, clients.json].map(async ({ auth }) => {
      const inserted = proxy.hold('before', 'insert_users');
      const outcome = outcomeOf(auth.signUpAnonymous({}));
      await inserted;
      return { outcome };
    }),
  );
  const told = performance.now();
  service.kill('SIGTERM');
  for (const { outcome } of hanging) expect(await outcome).toBe('SHUTTING_DOWN');
  expect(performance.now() - told).toBeGreaterThan(900);
  expect(await service.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - told).toBeLessThan(6000);
  expect(await database.query('select * from users')).toEqual([]);
});

test('clients that never finish a request do not keep a process from ending', async () => {
  const service = await serveOnProxy({ SHUTDOWN_DELAY: '0s', SHUTDOWN_GRACE: '1s' });
  const grpc = connect(`http://${service.ready.grpc}`).on('error', () => {});
  const path = '/gatehouse.v1.AuthService/SignUpAnonymous';
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const half = grpc.request(headers).on('error', () => {});
  half.write(Buffer.from([0, 0, 0, 0, 9]));
  const json = request(`${service.ready.http}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  json.on('error', () => {}).write('{');
  await sleep(300);
  const told = performance.now();
  expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null });
  expect(performance.now() - told).toBeLessThan(6000);
  grpc.destroy();
  json.destroy();
});

test('a database that has fallen silent does not keep a process from ending', async () => {
  const service = await serveOnProxy({ SHUTDOWN_DELAY: '0s', SHUTDOWN_GRACE: '1s' });
  await service.clients.grpc.auth.signUpAnonymous({});
  service.proxy.silence();
  const hanging = Array.from({ length: 3 }, () => outcomeOf(service.clients.json.auth.signUpAnonymous({})));
  await sleep(100);
  const told = performance.now();
  expect(await service.end('SIGINT')).toEqual({ code: 0, signal: null });
  expect(performance.now() - told).toBeLessThan(6000);
  for (const each of await Promise.all(hanging)) expect(['SHUTTING_DOWN', 'DATABASE_UNAVAILABLE']).toContain(each);
});

test('a second signal within a second has no effect, for npm sends Ctrl-C twice; a later one ends the process immediately', async () => {
  const service = await serveOnProxy({ SHUTDOWN_DELAY: '0s', SHUTDOWN_GRACE: '20s' });
  const reached = service.proxy.hold('before', 'insert_users');
  const call = outcomeOf(service.clients.grpc.auth.signUpAnonymous({}));
  const held = await reached;
  service.kill('SIGINT');
  await service.says('stopping');
  service.kill('SIGINT');
  service.kill('SIGTERM');
  await sleep(300);
  held.letGo();
  expect(await call).toBe('ok');
  expect(await service.ended).toEqual({ code: 0, signal: null });

  const impatient = await serveOnProxy({ SHUTDOWN_DELAY: '0s', SHUTDOWN_GRACE: '20s' });
  const hung = impatient.proxy.hold('after', 'insert_users');
  const lost = outcomeOf(impatient.clients.grpc.auth.signUpAnonymous({}));
  await hung;
  impatient.kill('SIGTERM');
  await sleep(1200);
  expect(await impatient.end('SIGTERM')).toEqual({ code: 1, signal: null });
  expect(await lost).not.toBe('ok');
  await expect.poll(() => impatient.database.query('select * from users')).toEqual([]);
});

test('no call of clients with the addresses of two replicas fails while one of them stops', async () => {
  const service = await start({ replicas: 2, skipChecks: ['health'] });
  const address = `ipv4:${service.replicas.map(({ grpcPort }) => `127.0.0.1:${grpcPort}`).join(',')}`;
  const seen = { ok: 0, failed: [] as string[] };
  let isOver = false;
  const call = async () => {
    const { transport, close } = grpcTransport(address);
    const { auth } = clientsOver(transport);
    while (!isOver) {
      const outcome = await outcomeOf(auth.signUpAnonymous({}));
      if (outcome === 'ok') seen.ok++;
      else seen.failed.push(outcome);
    }
    close();
  };
  const goaway = await listenForGoaway(`http://127.0.0.1:${service.replicas[0]!.grpcPort}`);
  const clients = Array.from({ length: 8 }, call);
  await expect.poll(() => seen.ok, { timeout: 5000 }).toBeGreaterThan(20);
  await service.replicas[0]!.stop();
  const before = seen.ok;
  await expect.poll(() => seen.ok, { timeout: 5000 }).toBeGreaterThan(before + 20);
  isOver = true;
  await Promise.all(clients);
  expect(seen.failed).toEqual([]);
  expect(await goaway(), 'NO_ERROR').toBe(0);
});

/** The code of the GOAWAY frame that ends a connection. */
async function listenForGoaway(url: string): Promise<() => Promise<number>> {
  const session = connect(url);
  const goaway = once(session, 'goaway');
  await once(session, 'connect');
  return async () => {
    const [code] = await goaway;
    session.close();
    return code as number;
  };
}

test('a kept-alive HTTP connection ends with its last response, and does not delay the shutdown', async () => {
  const service = await start({ env: { SHUTDOWN_GRACE: '10s' }, skipChecks: ['health'] });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const port = service.replicas[0]!.httpPort;
  const call = () =>
    new Promise<{ status?: number | undefined; connection?: string | undefined }>((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const path = '/gatehouse.v1.AuthService/SignUpAnonymous';
      const sent = request({ port, path, method: 'POST', agent, headers }, (res) => {
        res.resume().once('end', () => resolve({ status: res.statusCode, connection: res.headers.connection }));
      });
      sent.once('error', reject).end('{}');
    });
  expect(await call()).toEqual({ status: 200, connection: 'keep-alive' });
  const release = await service.database.hold('lock table users');
  const last = call();
  await service.database.blocked(1);
  const stopped = service.replicas[0]!.stop();
  await sleep(200);
  const asked = performance.now();
  await release();
  expect((await last).status).toBe(200);
  await stopped;
  expect(performance.now() - asked, 'less than SHUTDOWN_GRACE').toBeLessThan(4000);
  agent.destroy();
});

test('a health watcher receives NOT_SERVING as soon as the shutdown begins', async () => {
  const service = await start({ env: { SHUTDOWN_GRACE: '1s' }, skipChecks: ['health'] });
  const seen: Status[] = [];
  const watching = (async () => {
    for await (const { status } of service.clients('grpc').health.watch({})) seen.push(status);
  })().catch((error: unknown) => error);
  await expect.poll(() => seen).toEqual([Status.SERVING]);
  const stopped = service.replicas[0]!.stop();
  await expect.poll(() => seen, { timeout: 800 }).toEqual([Status.SERVING, Status.NOT_SERVING]);
  await stopped;
  await watching;
});
