import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { RawConnection, send } from '../support/raw-http.ts';
import { frameType, h2Frame, RawHttp2 } from '../support/raw-http2.ts';
import { authority, startSecurely } from '../support/secure.ts';
import { start } from '../support/start.ts';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

describe('the root of the HTTP port', () => {
  test('says what the service is, and every path that it names is served', async () => {
    const { httpPort } = (await start()).replicas[0]!;
    const about = await send(httpPort, { method: 'GET', path: '/' });
    expect(about).toMatchObject({ status: 200, json: { name: 'gatehouse', version: packageJson.version } });
    const { health, keys, call } = about.json;
    for (const path of [...Object.values<string>(health), keys])
      expect((await send(httpPort, { method: 'GET', path })).status, path).toBe(200);
    const [method, path] = call.split(' ');
    expect(await send(httpPort, { method, path, body: '{}' })).toMatchObject({ reason: 'INVALID_ARGUMENT' });
  });

  test('is read only', async () => {
    const { httpPort } = (await start()).replicas[0]!;
    expect(await send(httpPort, { method: 'HEAD', path: '/' })).toMatchObject({ status: 200, text: '' });
    const refused = await send(httpPort, { path: '/' });
    expect(refused).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' }, reason: 'METHOD_NOT_FOUND' });
  });
});

describe('HTTP/1.1 at the gRPC port', () => {
  const signIn = '/gatehouse.v1.AuthService/SignIn HTTP/1.1\r\nhost: x\r\ncontent-length: 70000\r\n\r\n';
  test.each([
    ['a GET', ['GET / HTTP/1.1\r\nhost: x\r\n\r\n']],
    ['a GET that comes byte by byte', [...'GET / HTTP/1.1\r\n']],
    ['a method that begins like the preface of HTTP/2', ['PROPFIND / HTTP/1.1\r\n\r\n']],
    ['a POST with a body', [`POST ${signIn}${'x'.repeat(70_000)}`]],
  ])('is answered in words: %s', async (_, parts) => {
    const service = await start();
    const { grpcPort, httpPort } = service.replicas[0]!;
    const connection = await RawConnection.open(grpcPort);
    connection.socket.setNoDelay(true);
    for (const part of parts) {
      connection.write(part);
      await sleep(2);
    }
    const { received, closed } = await connection.end(5000);
    expect({ received, closed }).toEqual({
      received: expect.stringMatching(/^HTTP\/1\.1 505 [^\r]*\r\ncontent-type: text\/plain; charset=utf-8\r\n/),
      closed: true,
    });
    const [head, body] = received.split('\r\n\r\n');
    expect(body).toBe(
      `This port speaks gRPC, which needs HTTP/2. The same methods are served as JSON over HTTP/1.1 on port ${httpPort}.\n`,
    );
    expect(head).toContain(`content-length: ${body!.length}\r\nconnection: close`);
  });

  test('harms nobody when it breaks off in its first word', async () => {
    const service = await start();
    for (const part of ['', 'G', 'GE']) {
      const connection = await RawConnection.open(service.replicas[0]!.grpcPort);
      connection.socket.end(part);
      expect(await connection.end(5000)).toMatchObject({ received: '', closed: true });
    }
    await service.clients('grpc').health.check({});
  });

  test('is answered in words over TLS, too, to a client that negotiates no protocol', async () => {
    const { grpcPort, httpPort } = await startSecurely();
    const socket = connectTls({
      port: grpcPort,
      ca: authority,
      servername: 'localhost',
      checkServerIdentity: () => undefined,
    });
    socket.end('GET / HTTP/1.1\r\n\r\n');
    const received = Buffer.concat(await socket.toArray()).toString();
    expect(received).toContain('HTTP/1.1 505 HTTP Version Not Supported');
    expect(received).toContain(`on port ${httpPort}`);
  });
});

describe('HTTP/2 at the gRPC port', () => {
  const isServed = (received: string) => received.charCodeAt(3) === frameType.settings;

  test('is served when its preface comes byte by byte', async () => {
    const service = await start();
    const connection = await RawConnection.open(service.replicas[0]!.grpcPort);
    connection.socket.setNoDelay(true);
    for (const byte of preface) {
      connection.write(byte);
      await sleep(1);
    }
    connection.write(h2Frame(frameType.settings, 0, 0));
    await expect.poll(() => isServed(connection.received)).toBe(true);
    expect(await connection.end(200), 'stays open').toMatchObject({ closed: false });
  });

  test('is served when the client waits for the server to speak first', async () => {
    const service = await start();
    const connection = await RawConnection.open(service.replicas[0]!.grpcPort);
    await expect.poll(() => isServed(connection.received), { timeout: 5000 }).toBe(true);
    connection.write(Buffer.concat([Buffer.from(preface), h2Frame(frameType.settings, 0, 0)]));
    expect(await connection.end(200), 'stays open').toMatchObject({ closed: false });
  });

  test('is not waited for by a replica that stops', async () => {
    const service = await start({ replicas: 2 });
    const [, replica] = service.replicas;
    const silent = await RawConnection.open(replica!.grpcPort);
    const served = await RawHttp2.open(replica!.grpcPort);
    await served.until(() => served.of(frameType.settings).length > 0);
    const since = performance.now();
    await replica!.stop();
    expect(performance.now() - since).toBeLessThan(5000);
    expect((await silent.end(1000)).received).toBe('');
    served.close();
  });
});
