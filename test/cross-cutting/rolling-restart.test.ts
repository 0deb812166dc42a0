import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startBalancer } from '../support/balancer.ts';
import { createDatabase } from '../support/database.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { reasonOf } from '../support/refusal.ts';
import { clientsOver } from '../support/start.ts';

const { MASTER_KEYS } = testEnv;

/** Signs up over one kept-alive connection, without retries. */
function jsonClient(port: number): () => Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const options = { port, agent, method: 'POST', headers: { 'content-type': 'application/json' } };
  return () =>
    new Promise((resolve, reject) => {
      const call = request({ ...options, path: '/gatehouse.v1.AuthService/SignUpAnonymous' }, (response) => {
        response.resume().on('end', () => (response.statusCode === 200 ? resolve() : reject(response.statusCode)));
      });
      call.on('error', reject).end('{}');
    });
}

function grpcClient(port: number): () => Promise<unknown> {
  const { transport, close } = grpcTransport(`127.0.0.1:${port}`);
  onTestFinished(close);
  const { auth } = clientsOver(transport);
  return () => auth.signUpAnonymous({});
}

test.each(['1', '2'])(
  'with WORKERS=%s clients that keep their connections lose no call while one replica of two is stopped',
  { timeout: 60_000 },
  async (workers) => {
    const { url } = await createDatabase();
    const env = { MASTER_KEYS, DATABASE_URL: url, WORKERS: workers, SHUTDOWN_DELAY: '1s', LIMITS: '*=off' };
    const replicas = await Promise.all([serve(env), serve(env)]);
    const behind = (port: 'grpc' | 'http') =>
      startBalancer(
        replicas.map(({ ready }) => {
          const { hostname: host, port: number } = new URL(ready[port].replace(/^(http:\/\/)?/, 'http://'));
          return { host, port: Number(number), probe: `${ready.admin}/readyz` };
        }),
      );
    const [grpcPort, httpPort] = [await behind('grpc'), await behind('http')];
    const lost: string[] = [];
    let calls = 0;
    let isOver = false;
    const steadily = async (call: () => Promise<unknown>) => {
      while (!isOver) {
        await call().catch((error) => lost.push(reasonOf(error) ?? String(error)));
        calls++;
        await sleep(Math.random() * 60);
      }
    };
    const clients = Array.from({ length: 8 }, () => [jsonClient(httpPort), grpcClient(grpcPort)]).flat();
    const running = clients.map(steadily);
    await expect.poll(() => calls, { timeout: 10_000 }).toBeGreaterThan(100);
    expect(await replicas[0]!.end()).toEqual({ code: 0, signal: null });
    const atEnd = calls;
    await expect.poll(() => calls, { timeout: 10_000 }).toBeGreaterThan(atEnd + 100);
    isOver = true;
    await Promise.all(running);
    expect(lost).toEqual([]);
  },
);
