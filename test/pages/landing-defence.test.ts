import type { Interceptor } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import { linkTo, registered, visitor } from '../support/page.ts';
import { ada, asService } from '../support/people.ts';
import { RawConnection, send } from '../support/raw-http.ts';
import { start } from '../support/start.ts';

/** The head of a request that sends a form, written by hand. */
const head =
  'POST /verify-email HTTP/1.1\r\nHost: x\r\nOrigin: http://gatehouse.test\r\nContent-Type: application/x-www-form-urlencoded\r\n';
const hostile = `"><script>alert('1')</script>&amp;`;

test('a form of another site is refused; without Sec-Fetch-Site the origin counts', async () => {
  const { service, visit, link } = await registered();
  const { token } = link;
  const foreign = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: '' },
    { origin: 'http://gatehouse.test.evil.example' },
    { origin: 'https://gatehouse.test' },
    { origin: 'http://gatehouse.test:8080' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'cross-site', origin: 'http://gatehouse.test' },
    { 'sec-fetch-site': [] },
  ];
  const before = await service.database.checksums();
  for (const headers of foreign) {
    const answer = await visit.post('/verify-email', { token }, headers);
    expect(answer, JSON.stringify(headers)).toMatchObject({ status: 403, heading: 'This came from another page' });
  }
  expect(await service.database.checksums()).toEqual(before);
  expect((await visit.post('/verify-email', { token }, { origin: 'http://gatehouse.test' })).status).toBe(200);
});

test('no page leaks its link: it is not cached, framed or referred, and runs no script', async () => {
  const { visit, link } = await registered();
  const pages = [
    await visit.open(link.path),
    await visit.open(link.path, {}, 'HEAD'),
    await visit.open('/reset-password?token=x'),
    await visit.open('/magic-link?token=x'),
    await visit.post('/verify-email', {}),
    await visit.post('/verify-email', {}, { origin: 'https://evil.example' }),
  ];
  for (const { headers, text, status } of pages) {
    const what = `${status} ${text.slice(0, 10)}`;
    expect(headers, what).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
      'content-language': 'en',
      'x-request-id': expect.stringMatching(/^[\w-]{8,}$/),
    });
    expect(headers['set-cookie'], what).toBeUndefined();
    expect(headers['content-security-policy'], what).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(text, what).not.toMatch(/<script|<a |<img|<link|style=|\son\w+=|https?:/);
  }
  expect(pages[1]!.text).toBe('');
  expect(pages[1]!.headers['content-length']).toBe(pages[0]!.headers['content-length']);
});

test('input appears on a page as text, never as markup', async () => {
  const { visit } = await registered();
  const pages = [
    await visit.open(`/verify-email?token=${encodeURIComponent(hostile)}`),
    await visit.open(`/verify-email?token=x&lang=${encodeURIComponent(hostile)}`, { 'accept-language': hostile }),
    await visit.post('/verify-email', { token: hostile }),
    await visit.post('/reset-password', { token: hostile, account: hostile, password: '' }),
    await visit.open('/magic-link?token=x', { host: 'evil.example', 'x-forwarded-host': 'evil.example' }),
  ];
  for (const { text } of pages) expect(text).not.toMatch(/<script|evil\.example|"&gt;<|&amp;amp;amp;/);
  expect(pages[0]!.form).toEqual({ token: hostile });
  for (const { text } of pages) expect(text).toContain('<header>gatehouse.test</header>');
});

test('the e-mail address of a user appears on a page as text', async () => {
  const service = await start();
  const { auth, admin } = service.clients('json');
  const email = `"a&b'<i>"@example.org`;
  const created = await admin.createUser({ ...ada, email: `o'hara&sons@example.org`, name: hostile }, asService);
  await auth.requestPasswordReset({ email: created.user!.email });
  const visit = visitor(service);
  const page = await visit.open((await linkTo(service, created.user!.email)).path);
  expect(page.form!.account).toBe(`o'hara&sons@example.org`);
  expect(page.text).toContain('value="o&#39;hara&amp;sons@example.org"');
  const again = await visit.post('/reset-password', { ...page.form, account: email, password: '' });
  expect(again.form!.account).toBe(email);
});

test('other methods are refused with the list of allowed ones', async () => {
  const { service, visit, link } = await registered();
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
    const answer = await visit.open(link.path, {}, method);
    expect([answer.status, answer.headers.allow], method).toEqual([405, 'GET, HEAD, POST']);
  }
  await service.clients('json').auth.verifyEmail({ token: link.token });
});

test('a body that is too large or not a form is refused, and the next request on the connection is served', async () => {
  const { service, visit, link } = await registered();
  const port = service.replicas[0]!.httpPort;
  const post = (body: string, headers = {}) =>
    send(port, {
      path: '/verify-email',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin', ...headers },
    });
  const form = `token=${link.token}`;
  const large = `${form}&padding=${'x'.repeat(65_536)}`;
  expect((await post(large)).status).toBe(413);
  expect((await post(large, { 'transfer-encoding': 'chunked' })).status).toBe(413);
  expect((await post(`${form}&padding=${'x'.repeat(5_000_000)}`)).status).toBe(413);
  for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x', ''])
    expect((await post(form, { 'content-type': type })).status, type).toBe(415);
  expect((await post(form, { 'content-encoding': 'gzip' })).status).toBe(415);
  expect((await visit.open(link.path)).status).toBe(200);
  const connection = await RawConnection.open(port);
  connection.write(`${head}Content-Length: 5000000\r\n\r\n${'x'.repeat(5_000_000)}`);
  connection.write('GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const { received } = await connection.end(5000);
  expect(received.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
  const fits = `${form}&padding=${'x'.repeat(65_536 - form.length - 9)}`;
  const type = 'application/x-www-form-urlencoded; charset=UTF-8';
  expect((await post(fits, { 'content-type': type })).status).toBe(200);
});

test("limits count by the browser's address; a limited page has the time to wait and keeps the form", async () => {
  const LIMITS = 'AuthService.VerifyEmail=1,AuthService.VerifyResetToken=1';
  const { visit, link, service } = await registered({ LIMITS, TRUSTED_PROXY_HOPS: '1' });
  const from = (address: string) => ({ 'x-forwarded-for': `198.51.100.9, ${address}` });
  await visit.post('/verify-email', { token: 'wrong' }, from('203.0.113.1'));
  const limited = await visit.post('/verify-email', { token: link.token }, from('203.0.113.1'));
  expect(limited).toMatchObject({ status: 429, form: { token: link.token } });
  const wait = Number(limited.headers['retry-after']);
  expect(wait).toBeGreaterThan(0);
  expect(limited.alert).toBe(`Please wait ${wait} seconds and try again.`);
  expect((await visit.post('/verify-email', { token: link.token }, from('203.0.113.2'))).status).toBe(200);
  expect(await service.database.query(`select address from audit_events where action = 'auth.email_verified'`)).toEqual(
    [{ address: '203.0.113.2' }],
  );
  await visit.open('/reset-password?token=x', from('203.0.113.3'));
  const second = await visit.open('/reset-password?token=x', from('203.0.113.3'));
  expect([second.status, second.heading, second.form]).toEqual([429, 'Too many attempts', undefined]);
  expect(Number(second.headers['retry-after'])).toBeGreaterThan(0);
});

test('pages are in the language that the browser prefers among the available ones', async () => {
  const { visit, link } = await registered();
  const languageOf = async (wanted: string | undefined, page = visit) => {
    const { text, headers } = await page.open(link.path, wanted === undefined ? {} : { 'accept-language': wanted });
    const lang = /<html lang="(\w+)">/.exec(text)![1];
    expect(headers['content-language']).toBe(lang);
    expect(text).toContain(lang === 'de' ? 'Adresse bestätigen' : 'Verify address');
    expect(headers.vary).toBe('Origin, Accept-Language');
    return lang;
  };
  for (const wanted of ['de', 'de-AT', 'DE-at,en;q=0.9', 'fr,de;q=0.8,en;q=0.5', 'en;q=0.1, de;q=0.2'])
    expect(await languageOf(wanted), wanted).toBe('de');
  for (const wanted of [undefined, '', 'en-GB', 'fr', '*', 'de;q=0', 'constructor', ';;,;q=x', 'en,de'])
    expect(await languageOf(wanted), wanted).toBe('en');
  const german = visitor((await registered({ MAIL_LOCALE: 'de' })).service);
  expect(await languageOf(undefined, german)).toBe('de');
  expect(await languageOf('fr', german)).toBe('de');
  expect(await languageOf('en', german)).toBe('en');
  const wrong = await visit.post('/verify-email', { token: 'x' }, { 'accept-language': 'de' });
  expect([wrong.status, wrong.heading]).toEqual([400, 'Dieser Link ist ungültig']);
});

test.each([
  ['DATABASE_UNAVAILABLE', { retryAfter: 2 }, 503],
  ['OVER_CAPACITY', {}, 429],
  ['TRY_AGAIN', {}, 409],
] as const)('the page of a temporary error keeps the form: %s', async (reason, options, status) => {
  const { visit, link } = await registered({}, { inner: [failing(() => new Refusal(reason, options))] });
  const { form, alert, headers, ...answer } = await visit.post('/verify-email', { token: link.token });
  expect([answer.status, form]).toEqual([status, { token: link.token }]);
  expect(alert).toBe('Something went wrong on our side. Please try again in a moment.');
  expect(headers['retry-after']).toBe('retryAfter' in options ? '2' : undefined);
});

test('the page of a bug reveals nothing of it', async () => {
  const { visit, link, service } = await registered(
    {},
    { inner: [failing(() => new Error('select secret from users'))] },
  );
  const { status, text } = await visit.post('/verify-email', { token: link.token });
  expect(status).toBe(500);
  expect(text).not.toMatch(/secret|select|internal/i);
  expect(service.ledger.lines.filter((line) => line.includes('a bug'))).toHaveLength(1);
});

test('a call is aborted when the browser closes the connection', async () => {
  const reached = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<unknown>();
  const wait: Interceptor = (next) => async (req) => {
    if (req.method.name !== 'VerifyEmail') return next(req);
    req.signal.addEventListener('abort', () => ended.resolve(req.signal.reason));
    reached.resolve();
    await ended.promise;
    return next(req);
  };
  const { service, link } = await registered({}, { inner: [wait] });
  const connection = await RawConnection.open(service.replicas[0]!.httpPort);
  const body = `token=${link.token}`;
  connection.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  await reached.promise;
  connection.socket.destroy();
  expect(await ended.promise).toBeInstanceOf(Error);
  const { as } = await service.signIn();
  expect((await service.clients('json').auth.getMe({}, as)).user!.emailVerified).toBe(false);
});

function failing(fault: () => Error): Interceptor {
  return (next) => async (req) => {
    if (req.method.name === 'VerifyEmail') throw fault();
    return next(req);
  };
}
