import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { DriverException } from '@mikro-orm/core';
import { expect, onTestFinished, test } from 'vitest';
import { ConnectionFailure, describeFault } from '../../src/database/fault.ts';
import { openOrm } from '../../src/database/orm.ts';
import { faultOf } from '../../src/database/sqlstate.ts';
import { createDatabase } from '../support/database.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { reasonOf } from '../support/refusal.ts';

const { MASTER_KEYS } = testEnv;

async function metricOf(admin: string, sqlstate: string): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return Number(
    new RegExp(`gatehouse_database_faults_total\\{[^}]*sqlstate="${sqlstate}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0,
  );
}

test('a lost database is named with its code and place, in lines of calls and jobs and in a metric', async () => {
  const database = await createDatabase();
  const proxy = await startProxy();
  const url = proxy.url(database);
  const service = await serve({ DATABASE_URL: url, MASTER_KEYS, ADMIN_PORT: '0', LOG_LEVEL: 'info' });
  await service.clients.json.auth.signUpAnonymous({});
  await proxy.refuse();
  const reasons = await Promise.all(
    Array.from({ length: 20 }, () => service.clients.json.auth.signUpAnonymous({}).then(() => 'works', reasonOf)),
  );
  expect(new Set(reasons)).toEqual(new Set(['DATABASE_UNAVAILABLE']));
  const place = new URL(url).host;
  const lines = (msg: string) => service.log().filter((line) => line.msg === msg && line.code === 'ECONNREFUSED');
  await expect.poll(() => lines('the database failed a call')).toHaveLength(1);
  expect(lines('the database failed a call')[0]).toMatchObject({ level: 40, database: place });
  await expect.poll(() => lines('a background job failed').length, { timeout: 5000 }).toBeGreaterThan(0);
  expect(lines('a background job failed')[0]).toMatchObject({ database: place });
  expect(await metricOf(service.ready.admin, 'ECONNREFUSED')).toBeGreaterThan(0);
});

test('a full pool is distinguished from a lost database', async () => {
  const database = await createDatabase();
  const env = { DATABASE_POOL_SIZE: '2', DATABASE_STATEMENT_TIMEOUT: '20s', ADMIN_PORT: '0', LOG_LEVEL: 'info' };
  const service = await serve({ DATABASE_URL: database.url, MASTER_KEYS, ...env });
  const { admin, auth } = service.clients.json;
  await admin.createUser(ada, asService);
  const release = await database.hold('lock table users in access exclusive mode');
  onTestFinished(release);
  const since = performance.now();
  const reasons = await Promise.all(
    Array.from({ length: 6 }, () => {
      const headers = { 'connect-timeout-ms': '4000' };
      return auth.signUpAnonymous({}, { headers }).then(() => 'works', reasonOf);
    }),
  );
  expect(reasons).toContain('DATABASE_UNAVAILABLE');
  expect(performance.now() - since).toBeLessThan(8000);
  const codes = service.log().flatMap((line) => (line.msg === 'the database failed a call' ? [line.code] : []));
  expect(codes).toContain('POOL_FULL');
  expect(codes.every((code) => code === 'POOL_FULL' || code === '57014' || code === '55P03')).toBe(true);
  expect(await metricOf(service.ready.admin, 'POOL_FULL')).toBeGreaterThan(0);
});

test('a host that accepts and stays silent costs the connect timeout, of the setting or of the URL', async () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const each of sockets) each.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const failure = async (parameters: string, connectTimeout: number) => {
    const url = `postgresql://ada@127.0.0.1:${port}/auth?sslmode=disable${parameters}`;
    const orm = await openOrm(url, { poolSize: 1, connectTimeout });
    onTestFinished(() => orm.close(true));
    const since = performance.now();
    const error = await orm.em
      .fork()
      .execute('select 1')
      .then(
        () => undefined,
        (thrown) => thrown,
      );
    return { seconds: Math.floor((performance.now() - since) / 1000), fault: describeFault(error) };
  };
  const fault = { code: 'ETIMEDOUT', database: `127.0.0.1:${port}` };
  expect(await failure('', 1)).toEqual({ seconds: 1, fault });
  expect(await failure('&connect_timeout=2', 1)).toEqual({ seconds: 2, fault });
});

test('a password that changes while the service runs is no bug', async () => {
  const refused = Object.assign(new Error('password authentication failed'), { code: '28P01' });
  const failure = new ConnectionFailure(refused, 'db:5432');
  expect(faultOf(new DriverException(failure))).toBe('unavailable');
  expect(describeFault(new DriverException(failure))).toEqual({ code: '28P01', database: 'db:5432' });
});

test('what libraries print, warnings and exceptions that nobody catches are lines of the log', async () => {
  const database = await createDatabase();
  const script = `let n = 0; setInterval(() => {
    console.error('printed %s', 'by a library');
    process.emitWarning('be careful');
    if (++n > 40) throw new TypeError('not caught');
  }, 200).unref();`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(script)}`;
  const service = await serve({ DATABASE_URL: database.url, MASTER_KEYS, LOG_LEVEL: 'info', NODE_OPTIONS });
  expect(await service.says('a library printed')).toMatchObject({ console: 'printed by a library', level: 50 });
  expect(await service.says('a warning of Node')).toMatchObject({ message: 'be careful', level: 40 });
  expect(await service.says('an exception was not caught')).toMatchObject({ bug: { name: 'TypeError' }, level: 60 });
  expect((await service.ended).code).toBe(1);
});
