import { Code } from '@connectrpc/connect';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { follow } from '../support/login-streams.ts';
import { ada } from '../support/people.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { refusalOf } from '../support/refusal.ts';
import { type StartOptions, start, type Wire, wires } from '../support/start.ts';

const { PENDING, CLAIMED, APPROVED, DENIED, EXPIRED, USED } = LoginState;

async function prepare(wire: Wire, options: StartOptions = {}) {
  const service = await start(options);
  const { devices } = service.clients(wire);
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const begin = async () => {
    const login = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
    return { pollingSecret: login.pollingCode, pollingCode: login.pollingCode, authCode: authCodeOf(login) };
  };
  const watch = ({ pollingSecret }: { pollingSecret: string }, headers: Record<string, string> = {}) => {
    const leaving = new AbortController();
    onTestFinished(() => leaving.abort());
    const stream = follow(devices.awaitLogin({ pollingSecret }, { signal: leaving.signal, headers }));
    return { ...stream, leave: () => leaving.abort() };
  };
  return { service, devices, as, begin, watch };
}

describe.each(wires)('over %s a stream of a login', (wire) => {
  test('returns its state, then the confirmation, and ends; the poll redeems it', async () => {
    const { devices, as, begin, watch } = await prepare(wire);
    const login = await begin();
    const stream = watch(login);
    expect(await stream.saw(1)).toBe(PENDING);
    await devices.confirmFingerprintLogin(login, as);
    await stream.ended;
    expect(stream.states).toEqual([PENDING, APPROVED]);
    const late = watch(login);
    await late.ended;
    expect(late.states).toEqual([APPROVED]);
    expect((await devices.pollFingerprintLogin(login)).tokens).toBeDefined();
    const used = watch(login);
    await used.ended;
    expect(used.states).toEqual([USED]);
  });

  test('returns a claim, and goes on', async () => {
    const { service, begin, watch } = await prepare(wire);
    const stream = watch(await begin());
    await stream.saw(1);
    await service.database.query(`update login_attempts set state = 'claimed', changed_at = now()`);
    await stream.saw(2);
    await service.database.query(`update login_attempts set state = 'denied', changed_at = now()`);
    await stream.ended;
    expect(stream.states).toEqual([PENDING, CLAIMED, DENIED]);
  });

  test('ends when its user denies it, and when its device cancels it', async () => {
    const { devices, as, begin, watch } = await prepare(wire);
    const [denied, canceled] = [await begin(), await begin()];
    const streams = [watch(denied), watch(canceled)];
    for (const each of streams) await each.saw(1);
    await devices.denyFingerprintLogin(denied, as);
    await devices.cancelLogin(canceled);
    for (const each of streams) await each.ended;
    expect(streams.map(({ states }) => states)).toEqual([
      [PENDING, DENIED],
      [PENDING, DENIED],
    ]);
  });

  test('ends when it expires', async () => {
    const { service, begin, watch } = await prepare(wire);
    const login = await begin();
    const stream = watch(login);
    await stream.saw(1);
    service.pass(300);
    await stream.ended;
    expect(stream.states).toEqual([PENDING, EXPIRED]);
    const late = watch(login);
    await late.ended;
    expect(late.states).toEqual([EXPIRED]);
  });

  test('returns the same states to each of several clients, and changes nothing by itself', async () => {
    const { service, devices, as, begin, watch } = await prepare(wire);
    const login = await begin();
    const rows = () => service.database.query('select xmin, ctid from login_attempts');
    const before = await rows();
    const streams = [watch(login), watch(login), watch(login)];
    for (const each of streams) await each.saw(1);
    expect(await rows()).toEqual(before);
    await devices.confirmFingerprintLogin(login, as);
    for (const each of streams) await each.ended;
    for (const { states } of streams) expect(states).toEqual([PENDING, APPROVED]);
  });

  test.each([
    ['unknown', `ghpf_${'A'.repeat(43)}`, 'INVALID_POLLING_CODE'],
    ['of another kind', `ghpx_${'A'.repeat(43)}`, 'INVALID_POLLING_CODE'],
    ['not a secret', 'x', 'INVALID_POLLING_CODE'],
    ['empty', '', 'INVALID_ARGUMENT'],
    ['too long', 'x'.repeat(257), 'INVALID_ARGUMENT'],
    ['with a control', 'a\u0001', 'INVALID_ARGUMENT'],
  ])('is refused for a secret that is %s', async (_, pollingSecret, reason) => {
    const { watch } = await prepare(wire);
    expect((await refusalOf(watch({ pollingSecret }).ended)).reason).toBe(reason);
  });

  test('is refused for what its URL contains', async () => {
    const { begin, watch } = await prepare(wire);
    const { authCode } = await begin();
    expect((await refusalOf(watch({ pollingSecret: authCode }).ended)).reason).toBe('INVALID_POLLING_CODE');
  });

  test('is one of eight at most, and a client that leaves makes room', async () => {
    const { begin, watch } = await prepare(wire);
    const login = await begin();
    const streams = Array.from({ length: 8 }, () => watch(login));
    for (const each of streams) await each.saw(1);
    expect(await refusalOf(watch(login).ended)).toMatchObject({
      code: Code.ResourceExhausted,
      reason: 'OVER_REQUEST_RATE_LIMIT',
      retryAfter: 5,
    });
    await watch(await begin()).saw(1);
    streams[0]!.leave();
    await streams[0]!.ended.catch(() => {});
    await expect
      .poll(() =>
        watch(login)
          .saw(1)
          .catch(() => 0),
      )
      .toBe(PENDING);
  });

  test('ends at the deadline of its client with that', async () => {
    const { devices, begin } = await prepare(wire);
    const { pollingSecret } = await begin();
    const stream = follow(devices.awaitLogin({ pollingSecret }, { timeoutMs: 300 }));
    expect(await stream.ended.catch((error) => error.code)).toBe(Code.DeadlineExceeded);
    expect(stream.states).toEqual([PENDING]);
  });
});

test('the server itself ends a stream at the deadline, over both transports', async () => {
  const { service, begin } = await prepare('grpc');
  const { pollingSecret } = await begin();
  const { grpcPort, httpPort } = service.replicas[0]!;
  const grpc = new RawGrpc(grpcPort);
  onTestFinished(() => grpc.close());
  const text = Buffer.from(pollingSecret);
  const request = frame(Buffer.concat([Buffer.of(0x0a, text.length), text]));
  const path = '/gatehouse.v1.DeviceService/AwaitLogin';
  expect((await grpc.call(path, request, { 'grpc-timeout': '200m' })).code).toBe(Code.DeadlineExceeded);
  const response = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-timeout-ms': '200' },
    body: frame(Buffer.from(JSON.stringify({ pollingSecret }))),
  });
  const body = await response.text();
  expect(response.status).toBe(200);
  expect(body).toContain('"state":"LOGIN_STATE_PENDING"');
  expect(body).toContain('"reason":"DEADLINE_EXCEEDED"');
});

test('a stream waits longer than a call may take', async () => {
  const { service } = await prepare('json');
  const { httpPort } = service.replicas[0]!;
  const { devices } = service.clients('json');
  const { pollingCode } = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
  const response = await fetch(`http://127.0.0.1:${httpPort}/gatehouse.v1.DeviceService/AwaitLogin`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-timeout-ms': '3600000' },
    body: frame(Buffer.from(JSON.stringify({ pollingSecret: pollingCode }))),
  });
  service.pass(300);
  expect(await response.text()).toMatch(/LOGIN_STATE_PENDING.*LOGIN_STATE_EXPIRED/s);
});

test('an address has 200 streams at most, and others are not affected', async () => {
  const { service, begin } = await prepare('json', { env: { TRUSTED_PROXY_HOPS: '1' } });
  const { devices } = service.clients('json');
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const watchFrom = ({ pollingSecret }: { pollingSecret: string }, address: string) => {
    const headers = { 'x-forwarded-for': address };
    return follow(devices.awaitLogin({ pollingSecret }, { signal: leaving.signal, headers }));
  };
  for (let i = 0; i < 25; i++) {
    const login = await begin();
    const streams = Array.from({ length: 8 }, () => watchFrom(login, '192.0.2.1'));
    for (const each of streams) await each.saw(1);
  }
  const login = await begin();
  expect((await refusalOf(watchFrom(login, '192.0.2.1').ended)).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  expect(await watchFrom(login, '192.0.2.2').saw(1)).toBe(PENDING);
});
