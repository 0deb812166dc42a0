import { type ClientSessionOptions, constants } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import { SignInRequestSchema } from '../../gen/gatehouse/v1/auth_pb.ts';
import { ada, bob, serviceKey } from '../support/people.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { start, type TestService } from '../support/start.ts';

const getMe = '/gatehouse.v1.AuthService/GetMe';
const signIn = '/gatehouse.v1.AuthService/SignIn';
const malformed = { code: Code.InvalidArgument, reason: 'MALFORMED_REQUEST' };
const tooLarge = { code: Code.ResourceExhausted, reason: 'REQUEST_TOO_LARGE' };
const credentials = toBinary(
  SignInRequestSchema,
  create(SignInRequestSchema, { email: ada.email, password: ada.password }),
);
const zipped = { 'grpc-encoding': 'gzip' };

test('an unreadable message is an error of the client, with a reason', async () => {
  const service = await start();
  const grpc = clientOf(service);
  const whole = gzipSync(credentials);
  const messages: Record<string, [body: Buffer, headers?: object]> = {
    'no protobuf': [frame(Buffer.from('{"email":"ada"}'))],
    'half a field': [frame(credentials.subarray(0, 5))],
    'bad gzip': [frame(credentials, { flag: 1 }), zipped],
    'half of a gzip': [frame(whole.subarray(0, 20), { flag: 1 }), zipped],
    'gzip twice': [frame(gzipSync(whole), { flag: 1 }), zipped],
    'compressed without an encoding': [frame(whole, { flag: 1 })],
    'flagged as compressed, and not compressed': [frame(credentials, { flag: 1 })],
    'flagged as compressed in identity': [frame(credentials, { flag: 1 }), { 'grpc-encoding': 'identity' }],
  };
  const before = await service.database.checksums();
  for (const [what, [body, headers]] of Object.entries(messages)) {
    const answer = await grpc.call(signIn, body, { ...headers });
    expect(answer, what).toMatchObject(malformed);
    expect(answer.message, what).toMatch(/^the request could not be read: /);
  }
  expect(await service.database.checksums()).toEqual(before);
  await service.welcome();
  expect((await grpc.call(signIn, frame(whole, { flag: 1 }), zipped)).code, 'good gzip').toBe(0);
});

test('a unary call without a whole message or with two is unimplemented, as the protocol asks', async () => {
  const service = await start();
  const grpc = clientOf(service);
  const bodies: Record<string, Buffer> = {
    'no message': Buffer.alloc(0),
    'two messages': Buffer.concat([frame(credentials), frame(credentials)]),
    'half a frame header': Buffer.alloc(3),
    'half a frame': frame(credentials.subarray(0, 9), { claimed: credentials.length }),
  };
  for (const [what, body] of Object.entries(bodies)) {
    const answer = await grpc.call(signIn, body);
    expect(answer, what).toMatchObject({ code: Code.Unimplemented, reason: 'METHOD_NOT_FOUND' });
    expect(answer.message, what).toBe('no such method: the method takes one whole message');
  }
});

test('verbs other than POST and subtypes other than proto are unimplemented', async () => {
  const service = await start();
  await service.welcome();
  const grpc = clientOf(service);
  for (const verb of ['GET', 'PUT', 'DELETE'])
    expect(await grpc.call(signIn, frame(credentials), { ':method': verb }), verb).toMatchObject({
      code: Code.Unimplemented,
      reason: 'METHOD_NOT_FOUND',
    });
  for (const type of ['application/grpc+json', 'application/grpc-web', 'application/grpcfoo', 'application/grpc+'])
    expect(await grpc.call(signIn, frame(credentials), { 'content-type': type }), type).toMatchObject({
      code: Code.Unimplemented,
      reason: 'ENCODING_NOT_SUPPORTED',
    });
  for (const type of ['application/grpc+proto', 'application/grpc;charset=utf-8', 'application/grpc+proto; x=y'])
    expect((await grpc.call(signIn, frame(credentials), { 'content-type': type })).code, type).toBe(0);
});

test('a success has no message, and binary trailers have no padding', async () => {
  const service = await start();
  await service.welcome();
  const grpc = clientOf(service);
  const { trailers } = await grpc.call(signIn, frame(credentials));
  expect(trailers['grpc-message'] ?? '').toBe('');
  for (const password of ['wrong', 'wrong!', 'wrong!!']) {
    const refused = await grpc.call('/gatehouse.v1.AuthService/GetMe', frame(), {
      authorization: `Bearer ${password}`,
    });
    const details = { ...refused.headers, ...refused.trailers }['grpc-status-details-bin'];
    expect(details).toMatch(/^[A-Za-z0-9+/]+$/);
  }
});

test('a message of more than 64 KiB is refused before it is read, also by its decompressed or its claimed size', async () => {
  const service = await start();
  const grpc = clientOf(service);
  const large = (length: number) => Buffer.concat([credentials, Buffer.of(0x7a), varint(length), Buffer.alloc(length)]);
  const since = performance.now();
  expect(await grpc.call(signIn, frame(large(70_000)))).toMatchObject(tooLarge);
  expect(await grpc.call(signIn, frame(gzipSync(large(70_000)), { flag: 1 }), zipped)).toMatchObject(tooLarge);
  expect(
    await grpc.call(signIn, frame(gzipSync(Buffer.alloc(50_000_000)), { flag: 1 }), zipped),
    'a bomb',
  ).toMatchObject(tooLarge);
  expect(await grpc.call(signIn, frame(credentials, { claimed: 2 ** 31 - 1 })), 'claims 2 GB').toMatchObject(tooLarge);
  expect(await grpc.call(signIn, frame(credentials, { claimed: 2 ** 32 - 1 })), 'claims 4 GB').toMatchObject(tooLarge);
  expect(performance.now() - since).toBeLessThan(5000);
  expect(await grpc.call(signIn, frame(large(60_000)))).toMatchObject({ reason: 'INVALID_CREDENTIALS' });
});

test('unknown encodings, services and methods are unimplemented', async () => {
  const service = await start();
  const grpc = clientOf(service);
  for (const encoding of ['br', 'snappy', 'gzip, gzip', 'x'.repeat(100)])
    expect(
      await grpc.call(signIn, frame(credentials, { flag: 1 }), { 'grpc-encoding': encoding }),
      encoding,
    ).toMatchObject({
      code: Code.Unimplemented,
      reason: 'ENCODING_NOT_SUPPORTED',
    });
  const paths = [
    '/gatehouse.v1.AuthService/Nothing',
    '/gatehouse.v1.NoService/SignIn',
    '/gatehouse.v1.AuthService/signin',
    `${signIn}/`,
    '/',
    '/x',
    '/constructor/constructor',
    '/__proto__',
  ];
  for (const path of paths)
    expect(await grpc.call(path, frame(credentials)), path).toMatchObject({
      code: Code.Unimplemented,
      reason: 'METHOD_NOT_FOUND',
      message: 'no such method',
    });
  for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded', ''])
    expect((await grpc.call(signIn, frame(credentials), { 'content-type': type })).headers[':status'], type).toBe(415);
});

test('a call with more than 64 KiB of metadata is refused, and the calls beside it go on', async () => {
  const service = await start();
  const { as, tokens } = await service.welcome();
  // As grpc-js does; Node's own client sends no more than 64 KiB.
  const grpc = clientOf(service, { maxSendHeaderBlockLength: Number.MAX_SAFE_INTEGER });
  const bearer = { authorization: `Bearer ${tokens.accessToken}` };
  const metadata = (count: number, each: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, '~'.repeat(each)]));
  const release = await service.database.hold('lock table users in access exclusive mode');
  const neighbour = grpc.call(getMe, frame(), bearer);
  const tooMuch = [metadata(20, 4000), metadata(2, 40_000), metadata(10, 7000), metadata(120, 600)];
  const answers = await Promise.all(tooMuch.map((each) => grpc.call(getMe, frame(), { ...bearer, ...each })));
  await release();
  const { NGHTTP2_ENHANCE_YOUR_CALM: resetBy } = constants;
  for (const answer of answers) expect(answer).toMatchObject({ code: undefined, resetBy });
  expect((await neighbour).code).toBe(0);
  expect((await grpc.call(getMe, frame(), { ...bearer, ...metadata(10, 6000) })).code, 'almost as much').toBe(0);
  expect(grpc.session.destroyed).toBe(false);
  expect(grpc.session.remoteSettings.maxHeaderListSize).toBe(65_536);
  await service.clients('grpc').auth.getMe({}, as);
});

test('headers that claim an identity are ignored', async () => {
  const service = await start();
  const { user, tokens } = await service.welcome(ada);
  const { user: other } = await service.welcome(bob);
  const grpc = clientOf(service);
  const claims: Record<string, string> = {
    'x-user-id': other.id,
    'x-tenant-id': 'other',
    'x-project-id': 'other',
    'x-aal': 'aal2',
    'x-session-id': other.id,
    'x-forwarded-user': other.id,
    'x-real-ip': '203.0.113.9',
    'grpc-metadata-authorization': `Bearer ${serviceKey}`,
    'grpcgateway-authorization': `Bearer ${serviceKey}`,
    'x-authorization': `Bearer ${tokens.accessToken}`,
    cookie: `access_token=${tokens.accessToken}`,
    'authorization-bin': Buffer.from(`Bearer ${tokens.accessToken}`).toString('base64'),
    'junk-bin': '%%% no base64 %%%',
    'empty-bin': '',
    'x-latin': 'caf\u00e9',
  };
  expect(await grpc.call(getMe, frame(), claims)).toMatchObject({
    code: Code.Unauthenticated,
    reason: 'AUTHENTICATION_REQUIRED',
  });
  const { code, body } = await grpc.call(getMe, frame(), { ...claims, authorization: `Bearer ${tokens.accessToken}` });
  expect(code).toBe(0);
  expect(body.includes(user.id)).toBe(true);
  expect(body.includes(other.id)).toBe(false);
});

test('a response has the request id of the request if that is valid, or else a new one, also an error', async () => {
  const service = await start();
  const { tokens } = await service.welcome();
  const grpc = clientOf(service);
  const bearer = { authorization: `Bearer ${tokens.accessToken}` };
  const good = await grpc.call(getMe, frame(), { ...bearer, 'x-request-id': 'my-request-1' });
  expect(good.headers['x-request-id']).toBe('my-request-1');
  const refused = await grpc.call(getMe, frame(), { 'x-request-id': 'my-request-2' });
  expect(refused.trailers['x-request-id'] ?? refused.headers['x-request-id']).toBe('my-request-2');
  const strange = await grpc.call(getMe, frame(), { ...bearer, 'x-request-id': '<script>' });
  expect(strange.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
});

function clientOf({ replicas }: TestService, options?: ClientSessionOptions): RawGrpc {
  const client = new RawGrpc(replicas[0]!.grpcPort, options);
  onTestFinished(() => client.close());
  return client;
}

function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.concat([Buffer.of((value & 127) | 128), varint(value >>> 7)]);
}
