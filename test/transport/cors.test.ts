import { expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { logRefusedOrigins } from '../../src/http/refused-origins.ts';
import { ada, testEnv } from '../support/people.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import { start, type TestService } from '../support/start.ts';

const getMe = '/gatehouse.v1.AuthService/GetMe';
const signIn = '/gatehouse.v1.AuthService/SignIn';
const app = 'https://app.example';
const other = 'http://localhost:3000';
const env = { CORS_ORIGINS: `${app},${other}` };

const strangers = [
  'https://evil.example',
  'null',
  'file://',
  'https://app.example.evil.com',
  'https://evil-app.example',
  'https://sub.app.example',
  'http://app.example',
  'https://app.example:8443',
  'https://app.example.',
  'https://app.example/',
  'HTTPS://APP.EXAMPLE',
  'https://app.example, https://evil.example',
  'https://user@app.example',
  '<script>',
  '*',
  '',
];

test('pages of listed origins may call, with the methods and headers of our clients, and without credentials', async () => {
  const service = await start({ env });
  for (const origin of [app, other]) {
    const answer = await preflight(service, origin);
    expect(answer).toMatchObject({ status: 204, text: '' });
    expect(corsOf(answer)).toEqual({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers':
        'Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms, Connect-Content-Encoding, Connect-Accept-Encoding, Content-Encoding, Accept-Encoding, X-User-Agent, Authorization, Gatehouse-Project, X-Request-Id, Traceparent, Tracestate, Baggage, Sentry-Trace',
      'access-control-expose-headers': 'X-Request-Id, Retry-After',
      'access-control-max-age': '7200',
      vary: 'Origin',
    });
  }
});

test('pages of other origins are not allowed, neither by a preflight nor by a response', async () => {
  const service = await start({ env });
  const { as } = await service.welcome();
  for (const origin of strangers) {
    expect(corsOf(await preflight(service, origin)), origin).toEqual({ vary: 'Origin' });
    const answer = await post(service, getMe, { origin, ...as.headers });
    expect(corsOf(answer), origin).toEqual({ vary: 'Origin' });
  }
  const none = await start();
  expect(corsOf(await preflight(none, app)), 'by default').toEqual({ vary: 'Origin' });
});

test('in development pages of this machine may ask whatever their port, and in no other environment', async () => {
  const local = [
    ...['http://localhost', 'http://localhost:3000', 'http://localhost:5173', 'http://127.0.0.1:8081'],
    ...['http://[::1]:4200', 'http://localhost:65535'],
  ];
  const foreign = [
    ...['https://localhost:3000', 'http://localhost.evil.example', 'http://evil.example:3000', 'http://localhost:'],
    ...['http://127.0.0.2:3000', 'http://localhost:3000/', 'http://user@localhost:3000', 'http://sub.localhost:3000'],
  ];
  const development = await start({ env: { NODE_ENV: 'development', CORS_ORIGINS: app } });
  for (const origin of [...local, app])
    expect((await preflight(development, origin)).headers['access-control-allow-origin'], origin).toBe(origin);
  for (const origin of foreign)
    expect(corsOf(await preflight(development, origin)), origin).toEqual({ vary: 'Origin' });
  const test = await start();
  for (const origin of local) expect(corsOf(await preflight(test, origin)), origin).toEqual({ vary: 'Origin' });
});

test('an origin that is refused is a line of the log that names CORS_ORIGINS, not one for each request', async () => {
  const service = await start({ env });
  const lines = () =>
    service.ledger.lines.filter((line) => line.includes('CORS_ORIGINS')).map((line) => JSON.parse(line));
  await preflight(service, app);
  await post(service, getMe, { origin: 'http://gatehouse.test' });
  const { host } = new URL(`http://127.0.0.1:${portOf(service)}`);
  await post(service, getMe, { origin: `http://${host}` });
  await post(service, getMe, { origin: 'null' });
  expect(lines(), 'of our own pages').toEqual([]);
  for (let n = 0; n < 5; n++) await preflight(service, 'https://new.app.example');
  await post(service, getMe, { origin: 'https://new.app.example' });
  await preflight(service, 'null');
  await preflight(service, '<script>');
  expect(lines().map(({ level, origin }) => ({ level, origin }))).toEqual([
    { level: 40, origin: 'https://new.app.example' },
    { level: 40, origin: 'null' },
    { level: 40, origin: 'not an origin' },
  ]);
});

test('of any number of refused origins ten are logged in a minute', () => {
  let now = 0;
  const logged: string[] = [];
  const warn = ({ origin }: { origin: string }) => logged.push(origin);
  const report = logRefusedOrigins({ warn } as never, () => now);
  for (let n = 0; n < 1000; n++) report(`https://a${n}.example`);
  expect(logged).toHaveLength(10);
  now = 60_001;
  report('https://a0.example');
  expect(logged.at(-1)).toBe('https://a0.example');
  expect(logged).toHaveLength(11);
});

test('no header but Origin is read as the origin', async () => {
  const service = await start({ env });
  const { as } = await service.welcome();
  const hints = {
    referer: `${app}/page`,
    host: 'app.example',
    'x-forwarded-host': 'app.example',
    'x-forwarded-origin': app,
    'sec-fetch-site': 'same-origin',
  };
  expect(corsOf(await post(service, getMe, { ...hints, ...as.headers }))).toEqual({ vary: 'Origin' });
  expect(corsOf(await post(service, getMe, { ...hints, origin: 'https://evil.example', ...as.headers }))).toEqual({
    vary: 'Origin',
  });
});

test('pages of listed origins can read errors too, and caches keep the responses for two origins apart', async () => {
  const service = await start({ env: { ...env, LIMITS: 'AuthService.SignIn:success=1' } });
  await service.welcome();
  const credentials = JSON.stringify({ email: ada.email, password: ada.password });
  const errors: [status: number, answer: Promise<RawAnswer>][] = [
    [401, post(service, getMe, { origin: app })],
    [400, post(service, getMe, { origin: app }, '{')],
    [404, post(service, '/nothing', { origin: app })],
    [415, post(service, getMe, { origin: app, 'content-type': 'text/plain' })],
    [429, post(service, signIn, { origin: app }, credentials)],
  ];
  for (const [status, asked] of errors) {
    const answer = await asked;
    expect(answer.status).toBe(status);
    expect(corsOf(answer)).toEqual({
      'access-control-allow-origin': app,
      'access-control-expose-headers': 'X-Request-Id, Retry-After',
      vary: 'Origin',
    });
  }
  const keys = (origin?: string) =>
    send(portOf(service), { method: 'GET', path: '/.well-known/jwks.json', headers: { ...(origin && { origin }) } });
  const seen = [await keys(app), await keys(other), await keys('https://evil.example'), await keys()];
  expect(seen.map(({ headers }) => [headers['access-control-allow-origin'], headers.vary])).toEqual([
    [app, 'Origin'],
    [other, 'Origin'],
    [undefined, 'Origin'],
    [undefined, 'Origin'],
  ]);
});

test('CORS_ORIGINS accepts complete origins only: no wildcard, no path, no null', () => {
  for (const wrong of [
    '*',
    'https://*.example.com',
    'https://app.example/path',
    'null',
    'app.example',
    'https://user@app.example',
    'file:///x',
    'https://app.example?x',
    `${app},*`,
  ])
    expect(() => readConfig({ ...testEnv, CORS_ORIGINS: wrong }), wrong).toThrow('CORS_ORIGINS');
});

test('requests that a form or a beacon can send across origins reach no method', async () => {
  const service = await start({ env });
  await service.welcome();
  const before = await service.database.checksums();
  const credentials = JSON.stringify({ email: ada.email, password: ada.password });
  const types = [
    'text/plain',
    'text/plain;charset=UTF-8',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/json',
    'application/jsonp',
    'application/grpc-web+proto',
    'application/grpc-web-text',
    'application/grpc-web+json',
    'application/grpc',
  ];
  for (const type of types)
    for (const origin of [app, 'https://evil.example'])
      expect(await post(service, signIn, { origin, 'content-type': type }, credentials), type).toMatchObject({
        status: 415,
        reason: 'ENCODING_NOT_SUPPORTED',
      });
  const form = 'email=ada%40example.org&password=a+difference+engine';
  expect((await post(service, signIn, { 'content-type': 'application/x-www-form-urlencoded' }, form)).status).toBe(415);
  expect(await service.database.checksums()).toEqual(before);
});

test('no response sets a cookie, and no cookie is read', async () => {
  const service = await start({ env });
  await service.welcome();
  const credentials = JSON.stringify({ email: ada.email, password: ada.password });
  const signedIn = await post(service, signIn, { origin: app }, credentials);
  expect(signedIn.status).toBe(200);
  expect(signedIn.headers['set-cookie']).toBeUndefined();
  const cookie = `__Host-sid=${signedIn.json.tokens.accessToken}; refresh_token=${signedIn.json.tokens.refreshToken}`;
  expect((await post(service, getMe, { origin: app, cookie })).reason).toBe('AUTHENTICATION_REQUIRED');
});

function preflight(service: TestService, origin: string): Promise<RawAnswer> {
  const headers = {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,x-evil',
  };
  return send(portOf(service), { method: 'OPTIONS', path: signIn, headers });
}

function post(service: TestService, path: string, headers: Record<string, string>, body = '{}'): Promise<RawAnswer> {
  return send(portOf(service), { path, headers, body });
}

function corsOf({ headers }: RawAnswer): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith('access-control') || name === 'vary'),
  );
}

function portOf({ replicas }: TestService): number {
  return replicas[0]!.httpPort;
}
