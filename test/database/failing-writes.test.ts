import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { asService } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { send } from '../support/raw-http.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { scrape } from '../support/scrape.ts';
import { start, wires } from '../support/start.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());

const soon = { timeout: 10_000, interval: 50 };
const later = { timeout: 20_000, interval: 200 };

async function startOn(name: string, env: Record<string, string> = {}) {
  const service = await start({
    databaseUrl: () => cluster.url(name),
    env: { DATABASE_STATEMENT_TIMEOUT: '1s', ...env },
    skipChecks: ['secrets', 'orphans'], // they would look into the database of the common cluster
  });
  const replica = service.replicas[0]!;
  const readyz = async () => JSON.parse((await send(replica.httpPort, { method: 'GET', path: '/readyz' })).text);
  const metric = async (metric: string, labels = {}) => (await scrape(replica)).value(metric, labels);
  return { ...service, replica, readyz, metric, as: await service.guest() };
}

type Started = Awaited<ReturnType<typeof startOn>>;

/** Writes fail, and the replica says so; reads go on, and it stays in the load balancer. */
async function expectDegraded({ clients, replica, readyz, metric, as }: Started): Promise<void> {
  await expect.poll(readyz, soon).toEqual({ status: 'degraded', reason: 'the database fails writes' });
  for (const port of [replica.httpPort, replica.adminPort!])
    expect((await send(port, { method: 'GET', path: '/readyz' })).status).toBe(200);
  expect((await send(replica.httpPort, { method: 'GET', path: '/.well-known/jwks.json' })).status).toBe(200);
  expect([await metric('gatehouse_ready'), await metric('gatehouse_degraded')]).toEqual([1, 1]);
  const { health } = clients('grpc');
  expect((await health.check({})).status).toBe(Status.SERVING);
  for (const wire of wires) {
    const { sessions } = clients(wire);
    expect((await sessions.introspect({ token: as.tokens.accessToken }, asService)).active).toBe(true);
    expect((await sessions.listSessions({}, as.as)).sessions).toHaveLength(1);
  }
}

async function expectReady({ readyz, metric, guest }: Started): Promise<void> {
  await guest();
  await expect.poll(readyz, later).toEqual({ status: 'ready' });
  expect(await metric('gatehouse_degraded')).toBe(0);
}

/** A tablespace on a disk of its own that can be filled. Undefined where this user may not mount one. */
async function mountDisk(): Promise<string | undefined> {
  const disk = mkdtempSync(path.join(tmpdir(), 'gatehouse-disk-'));
  onTestFinished(() => rmSync(disk, { recursive: true, force: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', disk]));
  const { uid, gid } = statSync(cluster.data);
  chownSync(disk, uid, gid);
  return disk;
}

test('on a full disk reads go on, and the replica is degraded until writes succeed again', async () => {
  const disk = await mountDisk();
  if (!disk) console.warn('!!! NO DISK OF ITS OWN COULD BE MOUNTED: a trigger stands in for a full one !!!');
  const name = await cluster.createDatabase();
  const fill = () => (disk ? fillDisk(name, disk) : failWrites(name, '53100'));
  const service = await startOn(name);
  await expectReady(service);
  const release = await fill();
  for (const wire of wires) {
    const refusal = await firstRefusal(() => service.clients(wire).auth.signUpAnonymous({}));
    expect(refusal).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryAfter: 1 });
  }
  await expectDegraded(service);
  const failed = await service.metric('gatehouse_database_write_failures_total', { sqlstate: '53100' });
  expect(failed).toBeGreaterThanOrEqual(2);
  await release();
  await expectReady(service);
}, 60_000);

test('while the heartbeat fails the replica is degraded, also when no call writes', async () => {
  const name = await cluster.createDatabase();
  const service = await startOn(name, { HEARTBEAT: 'on' });
  const release = await failWrites(name, '25006', 'heartbeat');
  await expectDegraded(service);
  await release();
  await expectReady(service);
}, 40_000);

test('while no standby confirms writes the replica is degraded', async () => {
  const service = await startOn(await cluster.createDatabase(), { HEARTBEAT: 'on' });
  await cluster.query('postgres', `alter system set synchronous_standby_names = 'nobody'`);
  await cluster.query('postgres', 'select pg_reload_conf()');
  const regain = async () => {
    await cluster.query('postgres', 'alter system reset synchronous_standby_names');
    await cluster.query('postgres', 'select pg_reload_conf(), pg_sleep(0.1)');
  };
  onTestFinished(regain);
  await expectDegraded(service);
  await regain();
  await expectReady(service);
}, 40_000);

test('a write that conflicts with another one does not degrade the replica', async () => {
  const name = await cluster.createDatabase();
  const service = await startOn(name);
  const release = await failWrites(name, '40001');
  await service.guest().catch(reasonOf);
  await release();
  expect(await service.metric('gatehouse_database_write_failures_total')).toBe(0);
  await expect.poll(service.readyz, soon).toEqual({ status: 'ready' });
});

test('the primary of several workers is degraded when one of them is', async () => {
  const name = await cluster.createDatabase();
  const { ready, clients } = await serve({ DATABASE_URL: cluster.url(name), WORKERS: '2', ADMIN_PORT: '0' });
  await failWrites(name, '53100');
  expect(await clients.json.auth.signUpAnonymous({}).then(() => 'OK', reasonOf)).toBe('DATABASE_UNAVAILABLE');
  const readyz = () => fetch(`${ready.admin}/readyz`).then(async (res) => `${res.status} ${await res.text()}`);
  await expect.poll(readyz, soon).toContain('200 {"status":"degraded"');
}, 30_000);

/** Repeats a call until it is refused: a page with room for another row needs no disk. */
async function firstRefusal(call: () => Promise<unknown>) {
  for (let i = 0; i < 300; i++) {
    const outcome = await call().then(() => 'OK', reasonOf);
    if (outcome !== 'OK') break;
  }
  return refusalOf(call());
}

/** Every insert and update fails with this SQLSTATE, until the result is called. */
async function failWrites(name: string, sqlstate: string, ...tables: string[]): Promise<() => Promise<void>> {
  const watched = tables.length > 0 ? tables : ['users', 'sessions', 'heartbeat'];
  await cluster.query(
    name,
    `create or replace function fail() returns trigger language plpgsql as
     $$ begin raise 'no' using errcode = '${sqlstate}'; end $$`,
  );
  for (const table of watched)
    await cluster.query(name, `create trigger fails before insert or update on ${table} execute function fail()`);
  return async () => {
    for (const table of watched) await cluster.query(name, `drop trigger fails on ${table}`);
  };
}

/** Moves the database to the disk and fills the disk, until the result is called. */
async function fillDisk(name: string, disk: string): Promise<() => Promise<void>> {
  await cluster.query('postgres', `create tablespace ${name} location '${disk}'`);
  for (const table of ['users', 'sessions', 'audit_unsealed'])
    await cluster.query(name, `alter table ${table} set tablespace ${name}`);
  await cluster.query(name, 'checkpoint');
  const filler = path.join(disk, 'filler');
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096'], { stdio: 'ignore' });
  } catch {}
  return async () => rmSync(filler);
}
