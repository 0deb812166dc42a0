import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { mostConnections } from '../../src/throttle/connection-gate.ts';
import { createDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { newDataDir } from '../support/process.ts';
import { scrape } from '../support/scrape.ts';
import { start } from '../support/start.ts';

/** Opens connections that send nothing, and returns those that stay open. */
async function crowd(port: number, count: number, localAddress = '127.0.0.1'): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect({ port, host: '127.0.0.1', localAddress }));
  const outcomes = await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<boolean>((resolve) => {
          socket.on('error', () => {}).once('close', () => resolve(false));
          socket.once('connect', () => setTimeout(() => resolve(true), 500));
        }),
    ),
  );
  onTestFinished(() => sockets.forEach((each) => void each.destroy()));
  return sockets.filter((_, index) => outcomes[index]);
}

test('one address has CONNECTIONS_PER_ADDRESS connections to both ports together, and others are served', async () => {
  const service = await start({ env: { CONNECTIONS_PER_ADDRESS: '20' } });
  const { grpcPort, httpPort } = service.replicas[0]!;
  const [one, other] = [await crowd(grpcPort, 12, '127.0.0.2'), await crowd(httpPort, 12, '127.0.0.2')];
  expect(one.length + other.length).toBe(20);
  for (const wire of ['grpc', 'json'] as const) await service.clients(wire).auth.getSettings({});
  const scraped = await scrape(service.replicas[0]!);
  expect(scraped.value('gatehouse_connections_refused_total')).toBe(4);
  expect(scraped.value('gatehouse_connections')).toBeGreaterThanOrEqual(20);
  for (const each of one) each.destroy();
  await expect.poll(async () => (await crowd(httpPort, 1, '127.0.0.2')).length).toBe(1);
});

test('with CONNECTIONS_PER_ADDRESS=0 and behind a trusted proxy the number is not limited', async () => {
  const settings: Record<string, string>[] = [
    { CONNECTIONS_PER_ADDRESS: '0' },
    { CONNECTIONS_PER_ADDRESS: '5', TRUSTED_PROXY_HOPS: '1' },
  ];
  for (const env of settings) {
    const { replicas } = await start({ env });
    expect(await crowd(replicas[0]!.httpPort, 40)).toHaveLength(40);
  }
});

test('a process keeps descriptors for its database when more connections come than it may have files', async () => {
  expect(mostConnections(10)).toBeGreaterThan(64);
  const { url } = await createDatabase();
  const main = path.join(import.meta.dirname, '../../src/main.ts');

  const limited = spawn('sh', ['-c', `ulimit -n 400 && exec '${process.execPath}' '${main}'`], {
    env: {
      ...testEnv,
      PATH: process.env.PATH!,
      DATABASE_URL: url,
      DATA_DIR: newDataDir(),
      CONNECTIONS_PER_ADDRESS: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void limited.kill('SIGKILL'));
  let log = '';
  limited.stdout.on('data', (bytes) => (log += bytes));
  await expect.poll(() => log, { timeout: 20_000 }).toContain('"ready"');
  const { grpc, http, admin } = JSON.parse(log.split('\n').find((line) => line.includes('"ready"'))!);
  const portOf = (authority: string) => Number(authority.split(':').at(-1));
  const open = await crowd(portOf(grpc), 300);
  open.push(...(await crowd(portOf(http), 300)));
  expect(open.length).toBeLessThan(400 - 256);
  expect((await fetch(`${admin}/readyz`)).status).toBe(200);
  for (const each of open) each.destroy();
  const body = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  const signUp = async () => (await fetch(`${http}/gatehouse.v1.AuthService/SignUpAnonymous`, body)).status;
  await expect.poll(signUp, { timeout: 5000 }).toBe(200);
});
