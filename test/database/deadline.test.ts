// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { type DescMethodUnary, fromJson, type JsonObject, toBinary } from '@bufbuild/protobuf';
import type { HandlerContext, Interceptor } from '@connectrpc/connect';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { pathOf } from '../support/contract.ts';
import { asService } from '../support/people.ts';
import { crowd } from '../support/race.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { send } from '../support/raw-http.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

const signUpAnonymous = '/gatehouse.v1.AuthService/SignUpAnonymous';

/** A call, the row it has to write, and a query of the state before the call. */
interface WaitingCall {
  readonly method: DescMethodUnary;
  readonly request: JsonObject;
  readonly headers: Record<string, string>;
  readonly row: [table: 'sessions' | 'users', id: string];
  readonly state: string;
}

const calls: Record<string, (service: TestService) => Promise<WaitingCall>> = {
  'Refresh, one statement that commits by itself,': async (service) => {
    const { tokens, session } = await service.welcome();
    return {
      method: SessionService.method.refresh,
      request: { refreshToken: tokens.refreshToken },
      headers: {},
      row: ['sessions', session.id],
      state: 'select generation, refreshed_at from sessions',
    };
  },
  'RevokeSession, a transaction,': async (service) => {
    const { session } = await service.welcome();
    const { as } = await service.signIn();
    return {
      method: SessionService.method.revokeSession,
      request: { sessionId: session.id },
      headers: as.headers,
      row: ['sessions', session.id],
      state:
        "select count(revoked_at) from sessions union all select count(*) from audit_events where action = 'session.revoke'",
    };
  },
  'BanUser, a transaction that reads first,': async (service) => {
    const { user } = await service.welcome();
    return {
      method: AdminService.method.banUser,
      request: { userId: user.id },
      headers: asService.headers,
      row: ['users', user.id],
      state: 'select count(banned_until) from users union all select count(revoked_at) from sessions',
    };
  },
};

/** A statement waits for a lock longer than these tests wait for its end. */
const longLocks = { env: { DATABASE_STATEMENT_TIMEOUT: '30s' } };

describe.each(wires)('over %s', (wire) => {
  test.each(Object.keys(calls))('%s returns at its deadline and does not take effect later', async (name) => {
    const service = await start(longLocks);
    const call = await calls[name]!(service);
    const before = await service.database.query(call.state);
    const release = await hold(service, call);
    const since = performance.now();
    expect(await sendWithDeadline(service, wire, call, 300)).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - since).toBeLessThan(8000);
    await nobodyWaits(service);
    await release();
    await sleep(150);
    expect(await service.database.query(call.state)).toEqual(before);
    expect(await sendWithDeadline(service, wire, call, 5000)).toBe(undefined);
    expect(await service.database.query(call.state), 'the call succeeds without the lock').not.toEqual(before);
  });

  test.each(Object.keys(calls))('%s does not take effect when its caller disconnects', async (name) => {
    const service = await start(longLocks);
    const call = await calls[name]!(service);
    const before = await service.database.query(call.state);
    const release = await hold(service, call);
    const leaving = new AbortController();
    const refused = sendUntil(service, wire, call, leaving.signal);
    await service.database.blocked(1);
    leaving.abort();
    await expect(refused).rejects.toThrow();
    await nobodyWaits(service);
    await release();
    await sleep(150);
    expect(await service.database.query(call.state)).toEqual(before);
  });

  test('a call whose caller disconnects at any moment takes effect completely or not at all', async () => {
    const service = await start();
    const { as } = await service.welcome();
    const others = await Promise.all(Array.from({ length: crowd * 2 }, () => service.signIn()));
    const revocations = others.map(async ({ session }, i) => {
      const { sessions } = service.clients(wire);
      const signal = AbortSignal.timeout(1 + (i % 20));
      await sessions.revokeSession({ sessionId: session.id }, { ...as, signal }).catch(() => {});
    });
    await Promise.all(revocations);
    await nobodyWaits(service);
    await sleep(200);
    const [row] = await service.database.query(
      `select count(*) filter (where s.revoked_at is not null and e.id is null)::int as "revokedUnheard",
         count(*) filter (where s.revoked_at is null and e.id is not null)::int as "heardUnrevoked"
       from sessions s left join audit_events e on e.action = 'session.revoke' and e.session_id = s.id`,
    );
    expect(row).toEqual({ revokedUnheard: 0, heardUnrevoked: 0 });
  });
});

test('a call whose deadline has already passed does not start', async () => {
  const service = await start();
  const grpc = rawGrpc(service);
  const before = await service.database.checksums();
  for (const timeout of ['0n', '1n', '0S', '1u']) {
    const answer = await grpc.call(signUpAnonymous, frame(), { 'grpc-timeout': timeout });
    expect(answer, timeout).toMatchObject({ code: 4, reason: 'DEADLINE_EXCEEDED' });
  }
  const answer = await overJson(service, '0');
  expect(answer).toMatchObject({ status: 504, code: 'deadline_exceeded', reason: 'DEADLINE_EXCEEDED' });
  expect(await service.database.checksums()).toEqual(before);
});

test('an invalid deadline is malformed, and one above 30 s is shortened', async () => {
  const service = await start();
  const grpc = rawGrpc(service);
  const before = await service.database.checksums();
  const malformed = { reason: 'MALFORMED_REQUEST' };
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => warnings.push(name);
  process.on('warning', onWarning);
  for (const timeout of ['x', '1', '1x', 'S', '', 'Infinity'])
    expect(await grpc.call(signUpAnonymous, frame(), { 'grpc-timeout': timeout }), timeout).toMatchObject(malformed);
  for (const timeout of ['abc', '-1', '1.5', '1e3', 'NaN', '', 'Infinity', '0x10', '99999999999'])
    expect(await overJson(service, timeout), timeout).toMatchObject(malformed);
  expect(await service.database.checksums()).toEqual(before);
  for (const timeout of ['99999999H', '30S', '99999999S'])
    expect((await grpc.call(signUpAnonymous, frame(), { 'grpc-timeout': timeout })).code, timeout).toBe(0);
  for (const timeout of ['30000', '30001', '60000', '9999999999'])
    expect((await overJson(service, timeout)).status, timeout).toBe(200);
  process.off('warning', onWarning);
  expect(warnings, 'no timer overflows').not.toContain('TimeoutOverflowWarning');
});

test('no call has more than 30 s, whatever its client says', async () => {
  const left: Record<string, number> = {};
  const look: Interceptor = (next) => (req) => {
    const { context } = req as unknown as { context: HandlerContext };
    left[context.protocolName] = context.timeoutMs()!;
    return next(req);
  };
  const service = await start({ inner: [look] });
  for (const timeout of ['60S', '99999999H']) {
    expect((await rawGrpc(service).call(signUpAnonymous, frame(), { 'grpc-timeout': timeout })).code).toBe(0);
    expect(left.grpc, timeout).toBeGreaterThan(29_000);
    expect(left.grpc, timeout).toBeLessThanOrEqual(30_000);
  }
  for (const timeout of ['60000', '9999999999']) {
    expect((await overJson(service, timeout)).status).toBe(200);
    expect(left.connect, timeout).toBeGreaterThan(29_000);
    expect(left.connect, timeout).toBeLessThanOrEqual(30_000);
  }
});

function hold({ database }: TestService, { row: [table, id] }: WaitingCall): Promise<() => Promise<void>> {
  return database.hold(`select 1 from ${table} where id = $1 for update`, [id]);
}

/** The reason of the refusal. The client does not enforce the deadline here. */
async function sendWithDeadline(
  service: TestService,
  wire: Wire,
  call: WaitingCall,
  ms: number,
): Promise<string | undefined> {
  const { method, request, headers } = call;
  if (wire === 'json') {
    const all = { ...headers, 'connect-timeout-ms': `${ms}` };
    const { httpPort } = service.replicas[0]!;
    return (await send(httpPort, { path: pathOf(method), body: JSON.stringify(request), headers: all })).reason;
  }
  const body = frame(toBinary(method.input, fromJson(method.input, request)));
  return (await rawGrpc(service).call(pathOf(method), body, { ...headers, 'grpc-timeout': `${ms}m` })).reason;
}

function sendUntil(service: TestService, wire: Wire, { method, request, headers }: WaitingCall, signal: AbortSignal) {
  const message = fromJson(method.input, request);
  return service.transport(wire).unary(method, signal, undefined, new Headers(headers), message);
}

function overJson({ replicas }: TestService, timeout: string) {
  const headers = { 'connect-timeout-ms': timeout };
  return send(replicas[0]!.httpPort, { path: signUpAnonymous, body: '{}', headers });
}

/** Fails unless every statement waiting for a lock is cancelled within half a second. */
async function nobodyWaits({ database }: TestService): Promise<void> {
  const waiting = async () => {
    const sql = `select count(*)::int as count from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`;
    return (await database.query(sql, [database.name]))[0]!.count;
  };
  await expect.poll(waiting, { timeout: 8000, interval: 10 }).toBe(0);
}

function rawGrpc({ replicas }: TestService): RawGrpc {
  const client = new RawGrpc(replicas[0]!.grpcPort);
  onTestFinished(() => client.close());
  return client;
}
