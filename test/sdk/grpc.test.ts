import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { serveGrpc } from '../../src/grpc/adapter.ts';
import { openChannel } from '../../src/sdk/grpc-channel.ts';
import { createGrpcTransport } from '../../src/sdk/grpc-transport.ts';
import { Code, type Interceptor, withBearer } from '../../src/sdk/surface.ts';
import { ada, serviceKey } from '../support/people.ts';
import { startReplica } from '../support/replica.ts';
import { failureOf, openNode } from '../support/sdk-entries.ts';
import { start } from '../support/start.ts';
import { makeCertificate } from './self-signed-certificate.ts';

describe('replicas', () => {
  test('share the calls evenly', async () => {
    let counted = 0;
    const count: Interceptor = (next) => async (req) => {
      counted += Number(req.method.name === 'SignUpAnonymous');
      return next(req);
    };
    const service = await start({ inner: [count] });
    const { replica } = await startReplica(service.database);
    const { auth } = openNode(bothOf(service.replicas[0]!, replica));
    for (let i = 0; i < 20; i++) await auth.signUpAnonymous({});
    expect(counted).toBeGreaterThanOrEqual(8);
    expect(counted).toBeLessThanOrEqual(12);
  });

  test('take over the calls of one that stops, and no read fails', async () => {
    const service = await start();
    const { tokens } = await service.welcome();
    const { replica } = await startReplica(service.database);
    const { auth, sessions } = openNode(bothOf(service.replicas[0]!, replica));
    await Promise.all(Array.from({ length: 4 }, () => auth.signUpAnonymous({})));
    const stopped = replica.stop();
    for (let i = 0; i < 40; i++) {
      const seen = await sessions.introspect({ token: tokens.accessToken }, withBearer(serviceKey));
      expect(seen.active).toBe(true);
    }
    await stopped;
    expect((await auth.getMe({}, withBearer(tokens.accessToken))).user!.email).toBe(ada.email);
  });
});

describe('a client', () => {
  test('that is closed finishes its calls in flight, and accepts no further ones', async () => {
    const service = await start({ inner: [(next) => (req) => sleep(300).then(() => next(req))] });
    const gatehouse = openNode(bothOf(service.replicas[0]!));
    const last = gatehouse.auth.signUpAnonymous({});
    await sleep(100);
    gatehouse.close();
    expect((await last).user!.isAnonymous).toBe(true);
    expect((await failureOf(gatehouse.auth.signUpAnonymous({}))).error.rawMessage).toMatch(/shut down/);
  });

  test('that cannot send a header throws a ConnectError', async () => {
    const { auth } = openNode('localhost:1');
    const { error } = await failureOf(auth.getMe({}, { headers: { 'x-name': 'Zoë' } }));
    expect(error.rawMessage).toMatch(/illegal characters/);
  });

  test('sends no more metadata than the service takes: its other calls would fail as well', async () => {
    const service = await start({ inner: [(next) => (req) => sleep(200).then(() => next(req))] });
    const { auth, sessions } = openNode(bothOf(service.replicas[0]!));
    await auth.signUpAnonymous({});
    const neighbour = auth.signUpAnonymous({});
    const { error } = await failureOf(sessions.listSessions({}, { headers: { 'x-large': '~'.repeat(70_000) } }));
    expect(error).toMatchObject({ code: Code.ResourceExhausted, rawMessage: 'the metadata is larger than 64 KiB' });
    expect((await neighbour).user!.isAnonymous).toBe(true);
  });
});

describe('with TLS', () => {
  test('only a service with a certificate of the given authority is trusted', async () => {
    const { ca, address } = await serveTls();
    const { auth } = openNode(address, { tls: { ca } });
    expect((await auth.signUpAnonymous({})).user!.isAnonymous).toBe(true);
    for (const tls of [true, undefined]) {
      const { error } = await failureOf(openNode(address, { tls }).auth.signUpAnonymous({}));
      expect(error.code).toBe(Code.Unavailable);
    }
  });

  test('the certificate must contain the host of the address, or the given name', async () => {
    const { ca, address } = await serveTls({ host: 'gatehouse.test' });
    const { error } = await failureOf(openNode(address, { tls: { ca } }).auth.signUpAnonymous({}));
    expect(error.code).toBe(Code.Unavailable);
    await openNode(address, { tls: { ca, serverName: 'gatehouse.test' } }).auth.signUpAnonymous({});
  });

  test('a client sends its own certificate where one is requested', async () => {
    const { ca, key, address } = await serveTls({ asksForCertificate: true });
    await openNode(address, { tls: { ca, key, cert: ca } }).auth.signUpAnonymous({});
    const { error } = await failureOf(openNode(address, { tls: { ca } }).auth.signUpAnonymous({}));
    expect(error.code).toBe(Code.Unavailable);
  });
});

describe('streams', () => {
  test('yield their messages one by one, and end when the reader stops', async () => {
    const service = await start();
    const health = healthOf(service.replicas[0]!.grpcPort);
    const seen: Status[] = [];
    for await (const { status } of health.watch({})) {
      seen.push(status);
      break;
    }
    expect(seen).toEqual([Status.SERVING]);
  });

  test('end at their deadline, or when they are aborted', async () => {
    const service = await start();
    const health = healthOf(service.replicas[0]!.grpcPort);
    const read = async (options: { timeoutMs?: number; signal?: AbortSignal }) => {
      for await (const { status } of health.watch({}, options)) expect(status).toBe(Status.SERVING);
    };
    expect((await failureOf(read({ timeoutMs: 200 }))).error.code).toBe(Code.DeadlineExceeded);
    expect((await failureOf(read({ signal: AbortSignal.timeout(200) }))).error.code).toBe(Code.Canceled);
    expect((await failureOf(read({ signal: AbortSignal.abort() }))).error.code).toBe(Code.Canceled);
  });

  test('fail with the code of their refusal, also before the first message', async () => {
    const health = healthOf(1);
    const read = async () => {
      for await (const _ of health.watch({})) expect.fail('no message');
    };
    expect((await failureOf(read())).error.code).toBe(Code.Unavailable);
  });
});

function bothOf(...replicas: { grpcPort: number }[]): string {
  return `ipv4:${replicas.map(({ grpcPort }) => `127.0.0.1:${grpcPort}`).join(',')}`;
}

function healthOf(port: number) {
  const channel = openChannel({ address: `127.0.0.1:${port}`, tls: false });
  onTestFinished(() => channel.close());
  return createClient(Health, createGrpcTransport(channel, []));
}

/** A second replica, behind TLS at localhost, with a self-signed certificate. */
async function serveTls({ host = 'localhost', asksForCertificate = false } = {}) {
  const { replicas } = await start();
  const { services, interceptors } = replicas[0]!.app;
  const { key, cert } = makeCertificate(host);
  const server = new Server();
  serveGrpc(server, services, {
    ...{ interceptors, proxyHops: 0, shutdownSignal: new AbortController().signal },
    logBug: () => {},
  });
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) };
  const credentials = ServerCredentials.createSsl(Buffer.from(cert), [pair], asksForCertificate);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  onTestFinished(() => server.forceShutdown());
  return { ca: cert, key, address: `localhost:${port}` };
}
