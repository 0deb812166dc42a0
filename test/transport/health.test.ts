import { setTimeout as sleep } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import { HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { services } from '../support/contract.ts';
import { startProxy } from '../support/proxy.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { send } from '../support/raw-http.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService } from '../support/start.ts';

const names = ['', ...services.map((each) => each.typeName)];

test('a health check names the whole server or one of its services, and nothing else', async () => {
  const service = await start();
  const { health } = service.clients('grpc');
  for (const name of names) expect((await health.check({ service: name })).status, name).toBe(Status.SERVING);
  const unknown = await refusalOf(health.check({ service: 'gatehouse.v1.Nothing' }));
  expect(unknown).toMatchObject({ code: 5, reason: 'SERVICE_NOT_FOUND' });
  const { statuses } = await health.list({});
  expect(Object.fromEntries(Object.entries(statuses).map(([name, { status }]) => [name, status]))).toEqual(
    Object.fromEntries(names.map((name) => [name, Status.SERVING])),
  );
  expect(await probes(service)).toEqual({ livez: 200, readyz: 200 });
});

test('a watch sends the current status and then every change; without a database a replica is alive but not ready', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url });
  const { health } = service.clients('grpc');
  const leaving = new AbortController();
  const heard: Record<string, Status[]> = { '': [], 'gatehouse.v1.AuthService': [], 'gatehouse.v1.Nothing': [] };
  const watching = Object.keys(heard).map(async (name) => {
    for await (const { status } of health.watch({ service: name }, { signal: leaving.signal }))
      heard[name]!.push(status);
  });
  await expect.poll(() => heard['']).toEqual([Status.SERVING]);
  await proxy.refuse();
  await expect.poll(() => heard[''], { timeout: 4000 }).toEqual([Status.SERVING, Status.NOT_SERVING]);
  expect(await probes(service)).toEqual({ livez: 200, readyz: 503 });
  expect((await health.check({})).status).toBe(Status.NOT_SERVING);
  await proxy.accept();
  await expect.poll(() => heard[''], { timeout: 4000 }).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING]);
  expect(await probes(service)).toEqual({ livez: 200, readyz: 200 });
  leaving.abort();
  await Promise.allSettled(watching);
  expect(heard['gatehouse.v1.AuthService']).toEqual(heard['']);
  expect(heard['gatehouse.v1.Nothing'], 'unknown is an answer here, and may change').toEqual([Status.SERVICE_UNKNOWN]);
});

test('a replica that stops sends its watches the status, then ends them, and is not delayed by them', async () => {
  const service = await start({ replicas: 2, env: { SHUTDOWN_DELAY: '3s' } });
  const { health } = service.clients('grpc', 1);
  const heard: Status[] = [];
  const watching = (async () => {
    for await (const { status } of health.watch({})) heard.push(status);
  })();
  await expect.poll(() => heard).toEqual([Status.SERVING]);
  const since = performance.now();
  const stopping = service.replicas[1]!.stop();
  await expect.poll(() => heard, { timeout: 2000 }).toEqual([Status.SERVING, Status.NOT_SERVING]);
  await sleep(100);
  expect(await probes(service, 1), 'it still answers').toEqual({ livez: 200, readyz: 503 });
  expect((await health.check({})).status).toBe(Status.NOT_SERVING);
  await Promise.allSettled([stopping, watching]);
  expect(performance.now() - since, 'far less than the delay and the 5 s of grace').toBeLessThan(6000);
});

test('a watch whose deadline comes ends with that, also for a client that leaves the deadline to the server', async () => {
  const { replicas } = await start();
  const grpc = new RawGrpc(replicas[0]!.grpcPort);
  onTestFinished(() => grpc.close());
  for (const attempt of [1, 2, 3, 4, 5]) {
    const answer = await grpc.call('/grpc.health.v1.Health/Watch', frame(), { 'grpc-timeout': '50m' });
    expect(answer.code, `attempt ${attempt}`).toBe(Code.DeadlineExceeded);
  }
});

async function probes({ replicas }: TestService, replica = 0): Promise<Record<string, number>> {
  const { httpPort } = replicas[replica]!;
  const ask = async (path: string) => (await send(httpPort, { method: 'GET', path: `/${path}` })).status;
  return { livez: await ask('livez'), readyz: await ask('readyz') };
}
