import { getEventListeners, once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { Refusal } from '../../src/errors.ts';
import { chooseCoding } from '../../src/http/compression.ts';
import { connectGateway } from '../../src/http/connect.ts';
import { listenHttp } from '../../src/http/listening.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { errors } from '../../src/rpc/connect-error.ts';
import { deadline } from '../../src/rpc/deadline.ts';
import { serve } from '../../src/rpc/services.ts';

const check = '/grpc.health.v1.Health/Check';
const list = '/grpc.health.v1.Health/List';
const watch = '/grpc.health.v1.Health/Watch';

test('all calls in JSON share their listener on the shutdown signal, which aborts them', async () => {
  const contexts: HandlerContext[] = [];
  const { port, shutdown } = await open({
    async check(_, context) {
      contexts.push(context);
      await once(context.signal, 'abort');
      return {};
    },
    async *watch(_, context) {
      contexts.push(context);
      yield {};
      await once(context.signal, 'abort');
    },
  });
  const idle = getEventListeners(shutdown.signal, 'abort').length;
  const calls = Array.from({ length: 5 }, () => post(port, check, '{}'));
  const stream = post(port, watch, envelope('{}'), { 'content-type': 'application/connect+json' });
  await expect.poll(() => contexts.length).toBe(6);
  expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(idle);
  expect(contexts.every(({ signal }) => !signal.aborted)).toBe(true);
  const reason = new Refusal('SHUTTING_DOWN');
  shutdown.abort(reason);
  for (const { status, text } of await Promise.all(calls))
    expect({ status, text }).toMatchObject({ status: 503, text: expect.stringContaining('SHUTTING_DOWN') });
  await stream;
  for (const { signal } of contexts) expect(signal.reason).toMatchObject({ reason: 'SHUTTING_DOWN' });
});

test('the signal of a call is aborted when the client disconnects, and not when the call has ended', async () => {
  const contexts: HandlerContext[] = [];
  const { port } = await open({
    async check({ service }, context) {
      contexts.push(context);
      if (service === 'slow') await once(context.signal, 'abort');
      return {};
    },
  });
  const client = http.request({ port, method: 'POST', path: check, headers: { 'content-type': 'application/json' } });
  client.on('error', () => {});
  client.end('{"service":"slow"}');
  await expect.poll(() => contexts.length).toBe(1);
  expect(contexts[0]!.signal.aborted).toBe(false);
  client.destroy();
  await expect.poll(() => contexts[0]!.signal.reason).toMatchObject({ reason: 'CANCELED' });
  await post(port, check, '{}', { connection: 'close' });
  await sleep(50);
  expect(contexts[1]!.signal.aborted).toBe(false);
});

test('a timeout ends the call, and one that is longer than 30 s is shortened', async () => {
  const left: (number | undefined)[] = [];
  const { port } = await open({
    async check({ service }, context) {
      left.push(context.timeoutMs());
      if (service === 'slow') await once(context.signal, 'abort');
      return {};
    },
  });
  const slow = '{"service":"slow"}';
  for (const timeout of ['30', '0'])
    expect(await post(port, check, slow, { 'connect-timeout-ms': timeout }), timeout).toMatchObject({
      status: 504,
      text: expect.stringContaining('deadline_exceeded'),
    });
  left.length = 0;
  for (const timeout of ['5000', '9999999999', undefined])
    await post(port, check, '{}', timeout ? { 'connect-timeout-ms': timeout } : {});
  expect(left.map((each) => Math.ceil(each! / 1000))).toEqual([5, 30, 30]);
});

test('headers of the method are headers of the response, and its trailers have a prefix', async () => {
  const { port } = await open({
    check({ service }, context) {
      context.responseHeader.set('a-header', '1');
      context.responseHeader.append('set-cookie', 'a=1');
      context.responseHeader.append('set-cookie', 'b=2');
      context.responseTrailer.set('a-trailer', '2');
      if (service === 'wrong') throw new Refusal('SESSION_NOT_FOUND', { retryAfter: 3 });
      return {};
    },
  });
  const expected = { 'a-header': '1', 'set-cookie': ['a=1', 'b=2'], 'trailer-a-trailer': '2' };
  for (const [body, status] of [['{}', 200] as const, ['{"service":"wrong"}', 404] as const])
    expect(await post(port, check, body)).toMatchObject({ status, headers: expected });
  const { headers, text } = await post(port, check, '{"service":"wrong"}');
  expect(headers['retry-after']).toBe('3');
  expect(JSON.parse(text)).toMatchObject({ code: 'not_found', details: [{ type: 'google.rpc.ErrorInfo' }, {}] });
});

test('protobuf is read and written, and its errors are JSON', async () => {
  const { port } = await open({
    check({ service }) {
      if (service === 'wrong') throw new Refusal('SESSION_NOT_FOUND');
      return { status: Status.SERVING };
    },
  });
  const proto = { 'content-type': 'application/proto' };
  const request = (service: string) =>
    Buffer.from(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service })));
  for (const body of [request('a'), Buffer.alloc(0)]) {
    const { headers, bytes } = await post(port, check, body, proto);
    expect(headers['content-type']).toBe('application/proto');
    expect(fromBinary(HealthCheckResponseSchema, bytes).status).toBe(Status.SERVING);
  }
  const { status, headers, text } = await post(port, check, request('wrong'), proto);
  expect({ status, type: headers['content-type'] }).toEqual({ status: 404, type: 'application/json' });
  expect(JSON.parse(text).code).toBe('not_found');
});

test('a large response has the coding that the client prefers, and that of the request if it names none', async () => {
  const { port } = await open({
    list: () => ({ statuses: Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`service ${n}`, {}])) }),
    check: () => ({}),
  });
  const plain = await post(port, list, '{}');
  expect(plain.headers['content-encoding']).toBeUndefined();
  expect(Object.keys(JSON.parse(plain.text).statuses)).toHaveLength(100);
  const zipped = { 'content-encoding': 'gzip' };
  const said: [headers: object, coding: string | undefined][] = [
    [{ 'accept-encoding': 'gzip' }, 'gzip'],
    [{ 'accept-encoding': 'br' }, 'br'],
    [{ 'accept-encoding': 'gzip;q=0.5, br' }, 'br'],
    [{ 'accept-encoding': 'identity' }, undefined],
    [zipped, 'gzip'],
    [{ ...zipped, 'accept-encoding': 'br' }, 'br'],
  ];
  for (const [headers, coding] of said) {
    const body = 'content-encoding' in headers ? gzipSync('{}') : '{}';
    const answer = await post(port, list, body, headers);
    expect(answer.headers['content-encoding'], JSON.stringify(headers)).toBe(coding);
    expect(answer.headers['content-length']).toBe(`${answer.bytes.length}`);
    const read = { gzip: gunzipSync, br: brotliDecompressSync }[coding ?? ''] ?? ((bytes: Buffer) => bytes);
    expect(read(answer.bytes).toString()).toBe(plain.text);
  }
  const { headers } = await post(port, check, '{}', { 'accept-encoding': 'gzip' });
  expect(headers['content-encoding'], 'a small one').toBeUndefined();
});

test('the coding of a response has the highest weight in Accept-Encoding', () => {
  const said: [accepts: string | undefined, coding: string | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['*', undefined],
    ['deflate, zstd', undefined],
    ['gzip, deflate, br', 'gzip'],
    ['br, gzip', 'br'],
    ['GZIP', 'gzip'],
    ['gzip;q=0', undefined],
    ['gzip; q=0.2 , br ; q=0.3', 'br'],
    ['gzip;q=x, br;q=0', undefined],
    ['gzip;level=9', undefined],
  ];
  for (const [accepts, coding] of said) expect(chooseCoding(accepts), accepts).toBe(coding);
});

test('a request in a coding that is not read is refused with the name of the one that is', async () => {
  const { port } = await open({ check: () => ({}) });
  const { status, headers } = await post(port, check, '{}', { 'content-encoding': 'zstd' });
  expect({ status, accepts: headers['accept-encoding'] }).toEqual({ status: 501, accepts: 'gzip' });
});

test('a response that cannot be written is INTERNAL', async () => {
  const { port } = await open({ check: () => ({ status: 'not a number' as never }) });
  const { status, text } = await post(port, check, '{}');
  expect(status).toBe(500);
  expect(JSON.parse(text)).toMatchObject({ code: 'internal', details: [{ debug: { reason: 'INTERNAL' } }] });
});

/** Serves methods of the health service at a port of their own. */
async function open(impl: Partial<ServiceImpl<typeof Health>>) {
  const shutdown = new AbortController();
  const services = [serve(Health, impl as ServiceImpl<typeof Health>)];
  const interceptors = [errors(() => {}), deadline()];
  const rules = { proxyHops: 0, refusesUnknownFields: true, logBug: () => {} };
  const options = { ...rules, interceptors, shutdownSignal: shutdown.signal };
  const cors = { origins: [], allowsLocalhost: false, publicUrl: 'http://localhost', onRefused: () => {} };
  const other = { version: '0', readiness: () => 'ready' as const, jwks: () => ({}), passkeyOrigins: [] };
  const server = createHttpServer({ gateway: connectGateway(services, options), cors, ...other });
  await listenHttp(server, '127.0.0.1', 0);
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, shutdown };
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

function post(port: number, path: string, body: string | Buffer, headers: object = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const all = { 'content-type': 'application/json', ...headers };
  const request = http.request({ host: '127.0.0.1', port, method: 'POST', path, headers: all });
  request.on('error', reject);
  request.on('response', async (response) => {
    const bytes = Buffer.concat(await response.toArray());
    resolve({ status: response.statusCode!, headers: response.headers, bytes, text: bytes.toString() });
  });
  request.end(body);
  return promise;
}

/** A message of a stream: a flag, the length, the bytes. */
function envelope(json: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, Buffer.from(json)]);
}
