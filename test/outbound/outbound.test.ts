import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { Outbound, type OutboundFault, type OutboundRules } from '../../src/outbound/outbound.ts';
import { isPublicAddress } from '../../src/outbound/public-address.ts';

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

const inside = { allowsPrivate: true, allowsPlainText: true };
const outside = { allowsPrivate: false, allowsPlainText: true };

const faultOf = (rules: OutboundRules, url: string, signal?: AbortSignal): Promise<string> =>
  new Outbound(rules).send(new URL(url), { signal }).then(
    ({ status }) => `response ${status}`,
    (thrown: OutboundFault) => thrown.kind ?? thrown.name,
  );

test.each([
  ['8.8.8.8', true],
  ['2606:4700::1111', true],
  ['10.0.0.7', false],
  ['100.64.0.1', false],
  ['127.0.0.1', false],
  ['127.255.255.254', false],
  ['169.254.169.254', false],
  ['172.16.0.1', false],
  ['172.31.255.255', false],
  ['172.32.0.1', true],
  ['192.168.1.1', false],
  ['198.18.0.1', false],
  ['0.0.0.0', false],
  ['224.0.0.1', false],
  ['255.255.255.255', false],
  ['::', false],
  ['::1', false],
  ['::ffff:8.8.8.8', false],
  ['::ffff:10.0.0.1', false],
  ['64:ff9b::a00:1', false],
  ['2002:a00:1::', false],
  ['2001:db8::1', false],
  ['2001::1', false],
  ['fe80::1', false],
  ['fc00::1', false],
  ['ff02::1', false],
  ['localhost', false],
  ['', false],
])('whether %s is a public address: %s', (address, isPublic) => {
  expect(isPublicAddress(address)).toBe(isPublic);
});

test('a request has its method, headers and body, and the response its status and text', async () => {
  const port = await serve((req, res) => {
    req.setEncoding('utf8').on('data', (body) => {
      res.writeHead(201, { 'content-type': 'text/plain' }).end(`${req.method} ${req.headers['x-name']} ${body}`);
    });
  });
  const sent = { method: 'POST', headers: { 'x-name': 'ada' }, body: 'a=ü' };
  const response = await new Outbound(inside).send(new URL(`http://127.0.0.1:${port}/`), sent);
  expect(response.status).toBe(201);
  expect(await response.text()).toBe('POST ada a=ü');
});

test.each([
  'http://127.0.0.1:80/',
  'http://[::1]/',
  'http://[::ffff:127.0.0.1]/',
  'http://2130706433/',
  'http://0x7f.1/',
])('no request goes to %s, however the address is written', async (url) => {
  expect(await faultOf(outside, url)).toBe('refused_address');
});

test('no request goes to a name with private addresses only', async () => {
  const port = await serve((_, res) => res.end('inside'));
  const resolve = async () => [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ];
  expect(await faultOf({ ...outside, resolve }, `http://provider.example:${port}/`)).toBe('refused_address');
  expect(await faultOf({ ...inside, resolve }, `http://provider.example:${port}/`)).toBe('response 200');
});

test('the connection goes to the address that was checked: a name is resolved once', async () => {
  const port = await serve((_, res) => res.end('inside'));
  let lookups = 0;
  // A name server that returns a public address first, and then one behind the firewall (DNS rebinding).
  const resolve = async () => [{ address: lookups++ === 0 ? '192.0.9.1' : '127.0.0.1', family: 4 }];
  expect(await faultOf({ ...outside, resolve, timeout: 300 }, `http://provider.example:${port}/`)).toMatch(
    /timeout|unreachable/,
  );
  expect(lookups).toBe(1);
});

test('a redirect is not followed, wherever it leads', async () => {
  let requests = 0;
  const port = await serve((_, res) => {
    requests++;
    res.writeHead(302, { location: 'http://127.0.0.1/' }).end();
  });
  expect(await faultOf(inside, `http://127.0.0.1:${port}/`)).toBe('response 302');
  expect(requests).toBe(1);
});

test.each([
  'ftp://127.0.0.1/',
  'file:///etc/passwd',
  'gopher://127.0.0.1/',
  'data:text/plain,x',
  'http://ada:secret@127.0.0.1/',
])('no request goes to %s', async (url) => {
  expect(await faultOf(inside, url)).toBe('refused_url');
});

test('without permission no request goes without TLS', async () => {
  expect(await faultOf({ ...inside, allowsPlainText: false }, 'http://127.0.0.1/')).toBe('refused_url');
});

test('a response is cut off when it is too large, too slow or compressed', async () => {
  const drip = async (res: ServerResponse) => {
    for (let written = 0; written < 100 && !res.destroyed; written++) {
      res.write('x');
      await sleep(50);
    }
  };
  const port = await serve((req, res) => {
    if (req.url === '/silent') return;
    if (req.url === '/endless') return void drip(res);
    if (req.url === '/compressed') return void res.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    res.end('x'.repeat(Number(req.url!.slice(1))));
  });
  const at = (path: string) => faultOf({ ...inside, timeout: 400 }, `http://127.0.0.1:${port}${path}`);
  expect(await at('/65536')).toBe('response 200');
  expect(await at('/65537')).toBe('too_large');
  expect(await at('/10000000')).toBe('too_large');
  expect(await at('/silent')).toBe('timeout');
  expect(await at('/endless')).toBe('timeout');
  expect(await at('/compressed')).toBe('encoded');
});

test('a server that does not listen or speaks no HTTP is unreachable', async () => {
  const port = await serve((req) => req.socket.end('nonsense\r\n\r\n'));
  expect(await faultOf(inside, `http://127.0.0.1:${port}/`)).toBe('unreachable');
  expect(await faultOf(inside, 'http://127.0.0.1:1/')).toBe('unreachable');
});

test('a caller who has gone cancels the request', async () => {
  const port = await serve(() => {});
  const gone = new AbortController();
  setTimeout(() => gone.abort(), 50);
  expect(await faultOf(inside, `http://127.0.0.1:${port}/`, gone.signal)).toBe('AbortError');
});
