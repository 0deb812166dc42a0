import { once } from 'node:events';
import { copyFileSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Interceptor } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import { ada, expire, launchProgram, prepare, signIn } from './cli-program.ts';

/** A port before the service. `stop` is called for each connection before anything passes. */
async function gateTo(port: number, stop: () => void) {
  const server = createServer((client) => {
    stop();
    const upstream = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const)
      from.on('error', () => to.destroy()).pipe(to);
  });
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The refresh tokens that the service has received. */
function recorder() {
  const received: string[] = [];
  const inner: Interceptor = (next) => (req) => {
    if (req.method.name === 'Refresh') received.push((req.message as unknown as { refreshToken: string }).refreshToken);
    return next(req);
  };
  return { received, inner };
}

const refreshTokenIn = (file: string) => JSON.parse(readFileSync(file, 'utf8')).refreshToken as string;

test('a program that was stopped while others refreshed twice does not send its stale token', {
  timeout: 60_000,
}, async () => {
  const { received, inner } = recorder();
  const prepared = await prepare({ inner: [inner] });
  const { service, file, env, run } = prepared;
  await signIn(prepared);
  const { refreshToken: stale } = expire(file);
  let isStopped = () => {};
  const stopped = new Promise<void>((resolve) => {
    isStopped = resolve;
  });
  const address = await gateTo(service.replicas[0]!.grpcPort, () => {
    process.kill(slow.child.pid!, 'SIGSTOP');
    isStopped();
  });
  const slow = launchProgram(['token'], { ...env, GATEHOUSE_ADDRESS: address });
  await stopped;
  for (const _ of ['first', 'second']) {
    expect(await run('token')).toMatchObject({ code: 0 });
    service.pass(30);
    expire(file);
  }
  const newest = refreshTokenIn(file);
  writeFileSync(file, readFileSync(file, 'utf8').replace('"expiresAt":0', `"expiresAt":${Date.now() + 3_000_000}`));
  received.length = 0;
  slow.child.kill('SIGCONT');
  const { code, out } = await slow.ended;
  expect([code, received]).toEqual([0, []]);
  expect(refreshTokenIn(file)).toBe(newest);
  expect(newest).not.toBe(stale);
  expect(out).toEqual([JSON.parse(readFileSync(file, 'utf8')).accessToken]);
  expire(file);
  expect(await run('whoami')).toMatchObject({ code: 0, out: [ada.email] });
});

test('a slow response to a refresh does not replace newer tokens', { timeout: 60_000 }, async () => {
  let holds = 1;
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let arrived = () => {};
  const hasArrived = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const inner: Interceptor = (next) => async (req) => {
    const response = await next(req);
    if (req.method.name !== 'Refresh' || holds-- <= 0) return response;
    arrived();
    await held;
    return response;
  };
  const prepared = await prepare({ inner: [inner] });
  const { file, launch, run } = prepared;
  await signIn(prepared);
  expire(file);
  const slow = launch('token');
  await hasArrived;
  for (const _ of ['first', 'second']) {
    expect(await run('token')).toMatchObject({ code: 0 });
    expire(file);
  }
  const newest = refreshTokenIn(file);
  letGo();
  expect((await slow.ended).code).toBe(0);
  expect(refreshTokenIn(file)).toBe(newest);
  expect(await run('whoami')).toMatchObject({ code: 0, out: [ada.email] });
});

test('the lock of a program that has crashed is broken', { timeout: 30_000 }, async () => {
  const prepared = await prepare();
  await signIn(prepared);
  expire(prepared.file);
  const lock = `${prepared.file}.lock`;
  copyFileSync(prepared.file, lock);
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(lock, longAgo, longAgo);
  expect(await prepared.run('whoami')).toMatchObject({ code: 0, out: [ada.email] });
  expect(statSync(lock, { throwIfNoEntry: false })).toBeUndefined();
});
