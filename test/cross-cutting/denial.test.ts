import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { asService, bob } from '../support/people.ts';
import { RawConnection, send } from '../support/raw-http.ts';
import { emptyMessage, frameType, h2Frame, hpack, openCall, RawHttp2, reset } from '../support/raw-http2.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const getMe = '/gatehouse.v1.AuthService/GetMe';
const signUpAnonymous = '/gatehouse.v1.AuthService/SignUpAnonymous';
const head = `POST ${signUpAnonymous} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;

describe('on the HTTP port', () => {
  test('a request that two servers could read differently gets 400, and its connection is closed', async () => {
    const service = await start();
    const before = await service.database.checksums();
    const seen: Record<string, string> = {};
    for (const [what, request] of Object.entries(ambiguous)) {
      const connection = await RawConnection.open(service.replicas[0]!.httpPort);
      connection.write(request);
      const { received, closed } = await connection.end(2000);
      const statuses = received.match(/HTTP\/1\.1 \d+/g) ?? [];
      if (!closed || statuses.join() !== 'HTTP/1.1 400') seen[what] = `${statuses.join()}${closed ? '' : ', open'}`;
    }
    expect(seen).toEqual({});
    expect(await service.database.checksums()).toEqual(before);
  });

  test('headers beyond 16 KiB are refused with 431; three hundred small ones do not hide the call', async () => {
    const service = await start();
    const { as } = await service.welcome();
    const port = service.replicas[0]!.httpPort;
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, 'y']));
    expect((await send(port, { path: getMe, body: '{}', headers: { 'x-large': 'x'.repeat(17_000) } })).status).toBe(
      431,
    );
    expect((await send(port, { path: getMe, body: '{}', headers: { cookie: 'a=b; '.repeat(4000) } })).status).toBe(431);
    expect((await send(port, { path: `${getMe}?${'x'.repeat(17_000)}`, body: '{}' })).status).toBe(431);
    const answer = await send(port, { path: getMe, body: '{}', headers: { ...as.headers, ...many } });
    expect([200, 400, 431]).toContain(answer.status);
  });

  test('an endless body is refused, and a stopping replica does not wait for its sender', async () => {
    const service = await start({ replicas: 2 });
    const port = service.replicas[1]!.httpPort;
    const endless = await RawConnection.open(port);
    endless.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = Buffer.from(`8000\r\n${'x'.repeat(0x8000)}\r\n`);
    for (let i = 0; i < 300 && !endless.received && !endless.socket.destroyed; i++) {
      endless.write(chunk);
      if (i % 10 === 0) await sleep(1);
    }
    const { received } = await endless.end(200);
    expect(received).toMatch(/^HTTP\/1\.1 429 /);
    const since = performance.now();
    await service.replicas[1]!.stop();
    expect(performance.now() - since, 'less than SHUTDOWN_GRACE').toBeLessThan(4000);
  });

  test('bodies that trickle do not delay other calls', async () => {
    const service = await start();
    const port = service.replicas[0]!.httpPort;
    const slow = await Promise.all(Array.from({ length: 50 }, () => RawConnection.open(port)));
    for (const each of slow) each.write(`${head}Content-Length: 1000\r\n\r\n{`);
    const since = performance.now();
    expect((await send(port, { path: signUpAnonymous, body: '{}' })).status).toBe(200);
    expect(performance.now() - since).toBeLessThan(4000);
    for (const each of slow) each.socket.destroy();
  });

  test('a connection that sends nothing, or its headers slowly, is closed after ten seconds', async () => {
    const service = await start();
    const port = service.replicas[0]!.httpPort;
    const silent = await RawConnection.open(port);
    const silentGrpc = await RawConnection.open(service.replicas[0]!.grpcPort);
    const slow = await RawConnection.open(port);
    slow.write('POST / HTTP/1.1\r\nHost: x\r\n');
    const trickle = setInterval(() => slow.write('X-A: b\r\n'), 1000);
    onTestFinished(() => clearInterval(trickle));
    const ends = [slow, silent, silentGrpc].map((each) => each.end(14_000));
    const [one, other, third] = await Promise.all(ends);
    expect(one!.received).toMatch(/^HTTP\/1\.1 408 /);
    expect([one, other, third].map((each) => each!.closed)).toEqual([true, true, true]);
  });
});

describe('on the gRPC port', () => {
  test('a client that opens and resets streams in a loop is disconnected, and other clients are served', async () => {
    const service = await start();
    const { as } = await service.welcome();
    const attacker = await RawHttp2.open(service.replicas[0]!.grpcPort);
    onTestFinished(() => attacker.close());
    for (let i = 0; i < 3000 && !attacker.isClosed; i++) {
      const stream = 2 * i + 1;
      attacker.send(openCall(stream, signUpAnonymous), emptyMessage(stream), reset(stream));
      if (i % 100 === 0) await sleep(1);
    }
    expect(await attacker.until(() => attacker.isClosed || attacker.of(frameType.goaway).length > 0)).toBe(true);
    await service.clients('grpc').auth.getMe({}, as);
  });

  test('a connection may have a hundred concurrent streams; further ones are refused', async () => {
    const service = await start();
    const greedy = await RawHttp2.open(service.replicas[0]!.grpcPort);
    onTestFinished(() => greedy.close());
    greedy.send(...Array.from({ length: 150 }, (_, i) => openCall(2 * i + 1, getMe)));
    expect(await greedy.until(() => greedy.of(frameType.reset).length >= 50 || greedy.isClosed)).toBe(true);
    const [settings] = greedy.of(frameType.settings);
    expect(settingsOf(settings!.payload)[3]).toBe(100);
    await refusalOf(service.clients('grpc').auth.getMe({}));
  });

  test.each<[what: string, frames: () => Buffer[]]>([
    ['headers that are not HPACK', () => [h2Frame(frameType.headers, 5, 1, Buffer.alloc(100, 0xff)), reset(1)]],
    ['an index beyond the table', () => [h2Frame(frameType.headers, 5, 1, Buffer.of(0xff, 0x80, 0x80, 0x80, 0x01))]],
    [
      'headers that never end',
      () => [h2Frame(1, 0, 1, hpack({ a: 'b' })), ...Array(500).fill(h2Frame(9, 0, 1, hpack({ c: 'x'.repeat(1000) })))],
    ],
    ['a stream of frame 0', () => [h2Frame(frameType.headers, 5, 0, hpack({ a: 'b' }))]],
    ['a window that overflows', () => [h2Frame(frameType.windowUpdate, 0, 0, Buffer.of(0x7f, 0xff, 0xff, 0xff))]],
    ['a frame of 16 MB', () => [Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])]],
    ['no HTTP/2 at all', () => [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')]],
  ])('%s: the connection is closed, and the process serves on', async (_, frames) => {
    const service = await start();
    const attacker = await RawHttp2.open(service.replicas[0]!.grpcPort);
    onTestFinished(() => attacker.close());
    attacker.send(...frames());
    expect(await attacker.until(() => attacker.isClosed || attacker.of(frameType.goaway).length > 0)).toBe(true);
    await refusalOf(service.clients('grpc').auth.getMe({}));
  });

  test('floods of pings, settings and metadata do not stop the service', async () => {
    const service = await start();
    const port = service.replicas[0]!.grpcPort;
    const floods: Record<string, Buffer[]> = {
      pings: Array(5000).fill(h2Frame(frameType.ping, 0, 0, Buffer.alloc(8))),
      settings: Array(5000).fill(h2Frame(frameType.settings, 0, 0, Buffer.of(0, 3, 0, 0, 0, 1))),
      'metadata of 100 kB': [
        openCall(1, getMe, { 'x-large': 'x'.repeat(16_000) }),
        ...Array(20)
          .fill(0)
          .map((__, i) => openCall(2 * i + 3, getMe, { 'x-large': 'x'.repeat(15_000) })),
      ],
      'metadata of 500 pairs': [
        openCall(1, getMe, Object.fromEntries(Array.from({ length: 500 }, (__, i) => [`x-${i}`, 'y']))),
      ],
    };
    for (const frames of Object.values(floods)) {
      const attacker = await RawHttp2.open(port);
      attacker.send(...frames);
      await attacker.until(() => attacker.isClosed, 300);
      attacker.close();
    }
    const since = performance.now();
    await refusalOf(service.clients('grpc').auth.getMe({}));
    expect(performance.now() - since).toBeLessThan(4000);
  });
});

test.each(wires)('over %s calls beyond MAX_IN_FLIGHT are refused immediately, with a time to wait', async (wire) => {
  const service = await start({ env: { MAX_IN_FLIGHT: '8' } });
  const { user } = await service.welcome(bob);
  const release = await service.database.hold('select 1 from users where id = $1 for update', [user.id]);
  const { admin } = service.clients(wire);
  const waiting = Array.from({ length: 4 }, () => admin.banUser({ userId: user.id }, asService));
  await service.database.blocked(4);
  const held = Promise.race(waiting).then(() => 'one of the four');
  const shed = await Promise.all(
    Array.from({ length: 10 }, () => refusalOf(admin.banUser({ userId: user.id }, asService))),
  );
  expect(await Promise.race([held, 'the ten']), 'the first response').toBe('the ten');
  for (const each of shed) expect(each).toMatchObject({ code: 14, reason: 'SERVER_BUSY', retryAfter: 1 });
  expect((await send(service.replicas[0]!.httpPort, { method: 'GET', path: '/readyz' })).status).toBe(200);
  await service.clients('grpc').health.check({});
  await release();
  await Promise.all(waiting);
  await admin.banUser({ userId: user.id }, asService);
});

test.each(wires)('over %s many calls of one client at once give others no SERVER_BUSY', async (wire) => {
  const many = 300;
  const timeouts = { DATABASE_STATEMENT_TIMEOUT: '60s', DATABASE_POOL_SIZE: '30' };
  const service = await start({ env: { MAX_IN_FLIGHT: '12', TRUSTED_PROXY_HOPS: '1', ...timeouts } });
  const { user } = await service.welcome(bob);
  const release = await service.database.hold('select 1 from users where id = $1 for update', [user.id]);
  const { admin } = service.clients(wire);
  const outcomes: Record<string, string[]> = {};
  const ban = async (address: string) => {
    const headers = { ...asService.headers, 'x-forwarded-for': address };
    const outcome = await outcomeOf(admin.banUser({ userId: user.id }, { headers }));
    outcomes[address] = [...(outcomes[address] ?? []), outcome];
  };
  const calls = Array.from({ length: many }, () => ban('203.0.113.1'));
  await expect.poll(() => outcomes['203.0.113.1']?.length, { timeout: 20_000 }).toBe(many - 6);
  // Of the other half each newcomer has a share.
  calls.push(...['203.0.113.2', '203.0.113.3', '203.0.113.4'].map(ban));
  await service.database.blocked(9);
  // An equal share for four clients and one more is two calls of 12.
  calls.push(...Array.from({ length: 4 }, () => ban('203.0.113.2')));
  await expect.poll(() => outcomes['203.0.113.2']?.length).toBe(3);
  await release();
  await Promise.all(calls);
  const busy = (count: number) => Array(count).fill('SERVER_BUSY');
  expect(outcomes).toEqual({
    '203.0.113.1': [...busy(many - 6), ...Array(6).fill('ok')],
    '203.0.113.2': [...busy(3), 'ok', 'ok'],
    '203.0.113.3': ['ok'],
    '203.0.113.4': ['ok'],
  });
});

function outcomeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'ok',
    (error) => reasonOf(error) ?? String(error),
  );
}

const post = `POST ${signUpAnonymous} HTTP/1.1`;
const json = 'Content-Type: application/json';
/** Request smuggling: each of these may hide a second request from one of two servers in a row. */
const ambiguous: Record<string, string> = {
  'a length and chunks': `${post}\r\nHost: x\r\n${json}\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'chunks and a length': `${post}\r\nHost: x\r\n${json}\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n`,
  'two lengths': `${post}\r\nHost: x\r\n${json}\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} `,
  'a list of lengths': `${post}\r\nHost: x\r\n${json}\r\nContent-Length: 2, 2\r\n\r\n{}`,
  'a length with a sign': `${post}\r\nHost: x\r\n${json}\r\nContent-Length: +2\r\n\r\n{}`,
  'a negative length': `${post}\r\nHost: x\r\n${json}\r\nContent-Length: -2\r\n\r\n{}`,
  'an endless length': `${post}\r\nHost: x\r\n${json}\r\nContent-Length: 99999999999999999999\r\n\r\n{}`,
  'an unknown encoding': `${post}\r\nHost: x\r\n${json}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  'chunks that are not the last encoding': `${post}\r\nHost: x\r\n${json}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  'a space before the colon': `${post}\r\nHost: x\r\n${json}\r\nContent-Length : 2\r\n\r\n{}`,
  'a header folded over two lines': `${post}\r\nHost: x\r\n${json}\r\nX-A: b\r\n Content-Length: 2\r\n\r\n`,
  'a bare line feed': `${post}\nHost: x\n${json}\nContent-Length: 2\n\n{}`,
  'a bare carriage return in a header': `${post}\r\nHost: x\r\nX-A: b\rX-B: c\r\n${json}\r\nContent-Length: 2\r\n\r\n{}`,
  'a NUL in a header': `${post}\r\nHost: x\r\nX-A: b\0c\r\n${json}\r\nContent-Length: 2\r\n\r\n{}`,
  'a chunk size that is not a number': `${post}\r\nHost: x\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
  'no host': `${post}\r\n${json}\r\nContent-Length: 2\r\n\r\n{}`,
  'an unknown version': `POST ${signUpAnonymous} HTTP/9.9\r\nHost: x\r\n\r\n`,
  'no HTTP': 'hello\r\n\r\n',
};

function settingsOf(payload: Buffer): Record<number, number> {
  const found: Record<number, number> = {};
  for (let at = 0; at + 6 <= payload.length; at += 6) found[payload.readUInt16BE(at)] = payload.readUInt32BE(at + 2);
  return found;
}
