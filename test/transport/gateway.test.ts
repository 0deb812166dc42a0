import { gzipSync } from 'node:zlib';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { methods, nameOf, pathOf } from '../support/contract.ts';
import { ada, asService } from '../support/people.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { start, type TestService } from '../support/start.ts';

const getMe = '/gatehouse.v1.AuthService/GetMe';
const signIn = '/gatehouse.v1.AuthService/SignIn';
const listSessions = '/gatehouse.v1.SessionService/ListSessions';
const malformed = { status: 400, code: 'invalid_argument', reason: 'MALFORMED_REQUEST' };
const tooLarge = { status: 429, code: 'resource_exhausted', reason: 'REQUEST_TOO_LARGE' };
const notSupported = { code: 'unimplemented', reason: 'ENCODING_NOT_SUPPORTED' };

describe('a body', () => {
  test('that the method cannot read is refused, never an internal error', async () => {
    const service = await start();
    const { as } = await service.welcome();
    const before = await service.database.checksums();
    const seen: Record<string, unknown> = {};
    for (const method of methods)
      for (const [what, body] of Object.entries(wrongBodies)) {
        const headers = { ...as.headers, ...(method.parent.name === 'AdminService' && asService.headers) };
        const answer = await send(portOf(service), { path: pathOf(method), headers, body });
        if (!matches(answer, malformed) && answer.reason !== 'INVALID_ARGUMENT')
          seen[`${nameOf(method)} ${what}`] = answer;
      }
    expect(seen).toEqual({});
    expect(await service.database.checksums()).toEqual(before);
  });

  test('of more than 64 KiB is refused however it is sent, and one of 64 KiB is read', async () => {
    const service = await start();
    const body = (length: number) => JSON.stringify({ email: ada.email, password: ada.password }).padEnd(length);
    const post = (text: string | Buffer, headers = {}) => send(portOf(service), { path: signIn, body: text, headers });
    const chunked = { 'transfer-encoding': 'chunked' };
    const zipped = { 'content-encoding': 'gzip' };
    expect(await post(body(65_537))).toMatchObject(tooLarge);
    expect(await post(body(10_000_000))).toMatchObject(tooLarge);
    expect(await post(body(65_537), chunked)).toMatchObject(tooLarge);
    expect(await post(gzipSync(body(50_000_000)), zipped), 'a gzip bomb').toMatchObject(tooLarge);
    expect(await post(gzipSync(body(65_537)), zipped)).toMatchObject(tooLarge);
    for (const read of [post(body(65_536)), post(body(65_536), chunked), post(gzipSync(body(65_536)), zipped)])
      expect(await read).toMatchObject({ status: 401, reason: 'INVALID_CREDENTIALS' });
  });

  test('in an unsupported encoding is unimplemented, and a damaged one malformed', async () => {
    const service = await start();
    const body = Buffer.from(JSON.stringify({ email: ada.email, password: ada.password }));
    const post = (text: Buffer, headers: object) =>
      send(portOf(service), { path: signIn, body: text, headers: { ...headers } });
    for (const encoding of ['br', 'deflate', 'zstd', 'gzip, gzip', 'x'.repeat(1000), '<script>'])
      expect(await post(body, { 'content-encoding': encoding }), encoding).toMatchObject({
        ...notSupported,
        status: 501,
      });
    for (const damaged of [
      body,
      gzipSync(body).subarray(0, 30),
      Buffer.concat([gzipSync(body), Buffer.of(1, 2)]),
      gzipSync(gzipSync(body)),
    ])
      expect(await post(damaged, { 'content-encoding': 'gzip' })).toMatchObject(malformed);
    const types = [
      'text/plain',
      'application/xml',
      'application/json; charset=latin1',
      'application/grpc',
      'application/grpc-web+proto',
      'application/connect+json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      '',
    ];
    for (const type of types)
      expect(await post(body, { 'content-type': type }), type).toMatchObject({ ...notSupported, status: 415 });
    for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON'])
      expect(await post(body, { 'content-type': type }), type).toMatchObject({ status: 401 });
  });
});

const wrongBodies: Record<string, string | Buffer> = {
  'an unknown field': '{"unknown":1}',
  'a field of Object': '{"constructor":{"prototype":{}}}',
  __proto__: '{"__proto__":{"polluted":1}}',
  'an array': '[]',
  'a text': '"text"',
  'a number': '1',
  'half an object': '{',
  'an object and more': '{}{}',
  'a key without quotes': '{a:1}',
  'no UTF-8': Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
  'a depth of 20,000': `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
  'objects to a depth of 10,000': `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
  HTML: '<script>alert(1)</script>',
};

test('a field that occurs twice, in one spelling or in two, is refused', async () => {
  const service = await start();
  await service.welcome();
  const twice = [
    '{"email":"bob@example.org","email":"ada@example.org","password":"a difference engine"}',
    '{"email":"ada@example.org","password":"a difference engine","password":"x"}',
  ];
  for (const body of twice) expect(await send(portOf(service), { path: signIn, body }), body).toMatchObject(malformed);
  const body = '{"refreshToken":"ghr_a","refresh_token":"ghr_b"}';
  expect(await send(portOf(service), { path: '/gatehouse.v1.SessionService/SignOut', body })).toMatchObject(malformed);
});

test('the bearer token is read from the Authorization header, and from nowhere else', async () => {
  const service = await start();
  const { as, tokens } = await service.welcome();
  const token = tokens.accessToken;
  const elsewhere: { path: string; method?: string; headers?: Record<string, string> }[] = [
    { path: `${getMe}?access_token=${token}` },
    { path: `${getMe}?authorization=Bearer%20${token}&token=${token}&bearer=${token}` },
    { path: `${getMe}?connect=v1&encoding=json&message=%7B%7D&access_token=${token}`, method: 'GET' },
    { path: getMe, headers: { cookie: `access_token=${token}; sb-access-token=${token}; __Host-sid=${token}` } },
    { path: getMe, headers: { apikey: token, 'x-access-token': token, 'proxy-authorization': `Bearer ${token}` } },
    {
      path: getMe,
      headers: { 'grpc-metadata-authorization': `Bearer ${token}`, 'x-forwarded-authorization': `Bearer ${token}` },
    },
  ];
  for (const each of elsewhere)
    expect(await send(portOf(service), { ...each, body: '{}' }), each.path).toMatchObject({
      status: 401,
      reason: 'AUTHENTICATION_REQUIRED',
    });
  const { json } = await send(portOf(service), {
    path: `${getMe}?access_token=nonsense`,
    body: '{}',
    headers: { ...as.headers },
  });
  expect(json.user.email).toBe(ada.email);
});

test('GET works for methods without side effects only, other verbs for no method, and 405 lists the allowed ones', async () => {
  const service = await start();
  const { as } = await service.welcome();
  const port = portOf(service);
  for (const method of methods) {
    const isSafe = method.idempotency === Idempotency.NO_SIDE_EFFECTS;
    const path = `${pathOf(method)}?connect=v1&encoding=json&message=%7B%7D`;
    const got = await send(port, { method: 'GET', path, headers: { ...as.headers } });
    if (isSafe) expect(got.status, nameOf(method)).not.toBe(405);
    else expect(got, nameOf(method)).toMatchObject({ status: 405, code: 'unimplemented', reason: 'METHOD_NOT_FOUND' });
    expect(got.headers.allow, nameOf(method)).toBe(isSafe ? undefined : 'POST');
    for (const verb of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'HEAD'])
      expect(await send(port, { method: verb, path }), `${verb} ${nameOf(method)}`).toMatchObject({ status: 405 });
  }
  const { status, json } = await send(port, {
    method: 'GET',
    path: `${getMe}?connect=v1&encoding=json&message=%7B%7D`,
    headers: { ...as.headers },
  });
  expect({ status, email: json.user.email }).toEqual({ status: 200, email: ada.email });
  const wrong = [
    'connect=v1&encoding=xml&message=%7B%7D',
    'encoding=json',
    'connect=v1&encoding=json&message=%7B',
    'connect=v1&encoding=json&base64=1&message=%00',
    'connect=v1&encoding=json&compression=br&message=%7B%7D',
    '',
  ];
  for (const query of wrong) {
    const answer = await send(port, { method: 'GET', path: `${listSessions}?${query}`, headers: { ...as.headers } });
    expect([400, 415, 501], `${query}: ${answer.status}`).toContain(answer.status);
    expect(['MALFORMED_REQUEST', 'ENCODING_NOT_SUPPORTED'], query).toContain(answer.reason);
  }
});

test('an unknown path is a 404 with a reason, and quotes nothing of the request', async () => {
  const service = await start();
  const notFound = { status: 404, code: 'unimplemented', reason: 'METHOD_NOT_FOUND' };
  const paths = [
    '/gatehouse.v1.AuthService/Nothing',
    '/gatehouse.v1.NoService/SignIn',
    `${signIn}/`,
    `/${signIn}`,
    '/gatehouse.v1.AuthService',
    '/gatehouse.v1.AuthService/signin',
    '/gatehouse.v1.AuthService/__proto__',
    '/constructor',
    '/livez/',
    '/%2e%2e/etc/passwd',
    '/grpc.health.v1.Health/Check',
    '/<script>alert(1)</script>?<script>',
  ];
  for (const path of paths)
    for (const method of ['GET', 'POST']) {
      const answer = await send(portOf(service), { method, path, body: '<script>', headers: { 'x-name': '<script>' } });
      expect(answer, `${method} ${path}`).toMatchObject(notFound);
      expect(answer.text + JSON.stringify(answer.headers)).not.toContain('script');
    }
  expect(await send(portOf(service), { path: '/livez', body: '' })).toMatchObject({
    status: 405,
    reason: 'METHOD_NOT_FOUND',
  });
});

test('an invalid Host header makes a request malformed, and any valid host is accepted', async () => {
  const service = await start();
  for (const host of ['a b', '[::1', '<script>', 'a:b:c', 'x:99999', '%'])
    expect(await send(portOf(service), { path: getMe, body: '{}', headers: { host } }), host).toMatchObject(malformed);
  for (const host of ['evil.example', '127.0.0.1', '[::1]:80', 'localhost:1'])
    expect(await send(portOf(service), { path: getMe, body: '{}', headers: { host } }), host).toMatchObject({
      status: 401,
    });
});

test('every response, errors included, forbids caching, sniffing, framing and referrers', async () => {
  const service = await start({ env: { LIMITS: 'AuthService.SignIn:success=1', CORS_ORIGINS: 'https://app.example' } });
  const { as } = await service.welcome();
  const ask = (status: number, path: string, more: object = {}) => ({ status, path, body: '{}', ...more });
  const preflight = {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
  };
  const requests = [
    ...['/livez', '/readyz', '/version'].map((path) => ask(200, path, { method: 'GET' })),
    ask(200, getMe, { headers: as.headers }),
    ask(400, getMe, { body: '{' }),
    ask(401, getMe),
    ask(403, '/gatehouse.v1.AdminService/GetUser', { headers: as.headers }),
    ask(404, '/nothing'),
    ask(405, signIn, { method: 'GET' }),
    ask(415, signIn, { headers: { 'content-type': 'text/plain' } }),
    ask(429, signIn, { body: JSON.stringify({ email: ada.email, password: ada.password }) }),
    ask(204, signIn, preflight),
  ];
  for (const { status, ...request } of requests) {
    const answer = await send(portOf(service), request as never);
    expect(answer.status, request.path).toBe(status);
    expect(answer.headers, `${status} ${request.path}`).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
      'x-content-type-options': 'nosniff',
    });
    expect(answer.headers['x-powered-by'] ?? answer.headers.server).toBeUndefined();
  }
});

test('a response has the request id of the request if that is valid, or else a new one', async () => {
  const service = await start();
  const idOf = async (id: string) => {
    const answer = await send(portOf(service), { path: getMe, body: '{}', headers: { 'x-request-id': id } });
    return answer.headers['x-request-id'];
  };
  for (const good of ['12345678', 'a.B_c-9'.padEnd(64, 'x'), '018f3c2e-0000-7000-8000-000000000001'])
    expect(await idOf(good)).toBe(good);
  const bad = [
    '1234567',
    'x'.repeat(65),
    'with space',
    '<script>',
    "';drop table",
    'café-café',
    '{"a":1}1',
    '12345678,12345678',
  ];
  for (const each of bad) expect(await idOf(each), each).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});

function portOf({ replicas }: TestService): number {
  return replicas[0]!.httpPort;
}

function matches(answer: RawAnswer, expected: Partial<RawAnswer>): boolean {
  return Object.entries(expected).every(([key, value]) => answer[key as keyof RawAnswer] === value);
}
