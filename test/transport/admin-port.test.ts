import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { send } from '../support/raw-http.ts';
import { scrape } from '../support/scrape.ts';
import { start } from '../support/start.ts';

const get = (port: number | undefined, path: string, method = 'GET') => send(port!, { method, path });

test('the admin port serves metrics and probes, and nothing else', async () => {
  const [replica] = (await start()).replicas;
  const { adminPort, httpPort } = replica!;
  const metrics = await get(adminPort, '/metrics');
  expect(metrics.status).toBe(200);
  expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  for (const probe of ['/livez', '/readyz']) expect((await get(adminPort, probe)).status, probe).toBe(200);
  expect((await get(adminPort, '/metrics', 'HEAD')).text).toBe('');
  for (const path of ['/', '/metrics/', '/version', '/.well-known/jwks.json', '/gatehouse.v1.AuthService/GetMe'])
    expect((await get(adminPort, path)).status, path).toBe(404);
  const posted = await send(adminPort!, { path: '/metrics' });
  expect([posted.status, posted.headers.allow]).toEqual([405, 'GET, HEAD']);
  expect((await get(httpPort, '/metrics')).status, 'the public port has no metrics').toBe(404);
});

test('every response of the admin port has the security headers', async () => {
  const [replica] = (await start()).replicas;
  for (const path of ['/metrics', '/livez', '/nothing'])
    expect((await get(replica!.adminPort, path)).headers, path).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    });
});

test('with ADMIN_PORT=off there is no admin port', async () => {
  const [replica] = (await start({ env: { ADMIN_PORT: 'off' } })).replicas;
  expect(replica!.adminPort).toBeUndefined();
});

test('the admin port serves until a draining replica has stopped', async () => {
  const service = await start({ replicas: 2, env: { SHUTDOWN_DELAY: '1s' } });
  const leaving = service.replicas[1]!;
  const stopped = leaving.stop();
  await sleep(50);
  expect((await get(leaving.adminPort, '/readyz')).status).toBe(503);
  expect((await scrape(leaving)).value('gatehouse_ready')).toBe(0);
  await stopped;
  await expect(get(leaving.adminPort, '/metrics')).rejects.toThrow();
});
