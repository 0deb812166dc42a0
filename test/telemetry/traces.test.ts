import { Code } from '@connectrpc/connect';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { beforeEach, describe, expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import { createDatabase } from '../support/database.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { callEveryMethod } from '../support/methods.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { send } from '../support/raw-http.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';
import { collectSpans } from './otel-sdk.ts';

const { spans, provider } = collectSpans();
const tracer = provider.getTracer('test');

beforeEach(() => void spans.splice(0));

const served = (method: string) =>
  spans.filter(({ kind, name }) => kind === SpanKind.SERVER && name.endsWith(`/${method}`));
const below = (parent: ReadableSpan) =>
  spans.filter((each) => each.parentSpanContext?.spanId === parent.spanContext().spanId).map(({ name }) => name);
const named = (name: string) => spans.find((each) => each.name === name)!;

describe.each(wires)('over %s', (wire) => {
  test('each call is one span, with its transaction, statements and hash as children', async () => {
    const service = await start({ tracer });
    await service.clients(wire).admin.createUser(ada, asService);
    spans.splice(0);
    await service.clients(wire).auth.signIn(ada);
    const [call, ...others] = served('SignIn');
    expect(others).toEqual([]);
    expect(call).toMatchObject({
      name: 'gatehouse.v1.AuthService/SignIn',
      attributes: {
        'rpc.system.name': wire === 'grpc' ? 'grpc' : 'connectrpc',
        'rpc.method': 'gatehouse.v1.AuthService/SignIn',
        'rpc.response.status_code': 'OK',
      },
      status: { code: SpanStatusCode.UNSET },
    });
    expect(call!.parentSpanContext).toBeUndefined();
    expect(below(call!)).toEqual(['sign_in_look_up', 'hash password', 'user_sign_in']);
    expect(named('user_sign_in')).toMatchObject({
      kind: SpanKind.CLIENT,
      attributes: { 'db.system.name': 'postgresql', 'db.query.summary': 'user_sign_in' },
    });
    expect(new Set(spans.map((each) => each.spanContext().traceId))).toHaveLength(1);
    spans.splice(0);
    await service.clients(wire).auth.signUpAnonymous({});
    const inside = below(named('transaction'));
    expect([inside[0], inside.at(-1)]).toEqual(['begin', 'commit']);
    expect(inside).toContain('insert_users');
  });

  test('a statement shared by several calls is in no trace', async () => {
    const proxy = await startProxy();
    const service = await start({ tracer, databaseUrl: proxy.url });
    const guests = [await service.guest(), await service.guest(), await service.guest()];
    const { sessions } = service.clients(wire);
    const [first, ...others] = guests.map(
      ({ tokens: { refreshToken } }) =>
        () =>
          sessions.refresh({ refreshToken }),
    );
    const reached = proxy.hold('before', 'session_rotate');
    const occupant = first!();
    const { letGo } = await reached;
    await Promise.all(others.map((refresh) => refresh()));
    letGo();
    await occupant;
    expect(proxy.statements.map(({ name }) => name)).toContain('session_rotate_all');
    expect(spans.filter(({ name }) => name === 'session_rotate')).toHaveLength(1);
    expect(spans.filter(({ name }) => name === 'session_rotate_all')).toEqual([]);
  });

  test("a call continues the caller's trace, and its log line has the trace id", async () => {
    const service = await start({ tracer });
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const call = (traceparent: string) => {
      spans.splice(0);
      const headers = { traceparent, tracestate: 'vendor=1' };
      return refusalOf(service.clients(wire).auth.signIn(ada, { headers }));
    };
    await call(`00-${traceId}-00f067aa0ba902b7-01`);
    const [continued] = served('SignIn');
    expect(continued!.spanContext().traceId).toBe(traceId);
    expect(continued!.spanContext().traceState?.serialize()).toBe('vendor=1');
    expect(continued!.parentSpanContext).toMatchObject({ spanId: '00f067aa0ba902b7', isRemote: true });
    expect(JSON.parse(service.ledger.lines.at(-1)!)).toMatchObject({ traceId });
    const zeros = '0'.repeat(32);
    for (const wrong of ['', 'nonsense', `00-${zeros}-00f067aa0ba902b7-01`, `ff-${traceId}-00f067aa0ba902b7-01`]) {
      await call(wrong);
      const [begun] = served('SignIn');
      expect(begun!.parentSpanContext, wrong).toBeUndefined();
      expect(begun!.spanContext().traceId, wrong).not.toBe(traceId);
    }
    await call(`00-${traceId}-00f067aa0ba902b7-00`);
    expect(served('SignIn'), 'the caller did not sample it').toEqual([]);
    expect(JSON.parse(service.ledger.lines.at(-1)!)).toMatchObject({ traceId });
  });
});

test('a span has an error after an outage or a bug, but not after a refusal', async () => {
  const fail: Record<string, () => Error> = {
    Introspect: () => new Refusal('SERVER_BUSY', { retryAfter: 1 }),
    SignUpAnonymous: () => new Error('a bug that says canary-7f3a'),
  };
  const inner = (next: (req: never) => Promise<never>) => async (req: { method: { name: string } }) => {
    const thrown = fail[req.method.name]?.();
    if (thrown) throw thrown;
    return next(req as never);
  };
  const service = await start({ tracer, inner: [inner as never] });
  expect((await refusalOf(service.clients('grpc').auth.signIn(ada))).code).toBe(Code.Unauthenticated);
  await refusalOf(service.clients('json').sessions.introspect({ token: 'x' }, asService));
  const path = '/gatehouse.v1.AuthService/SignUpAnonymous';
  expect((await send(service.replicas[0]!.httpPort, { path, body: '{}' })).reason).toBe('INTERNAL');
  const outcomes = ['SignIn', 'Introspect', 'SignUpAnonymous'].map((method) => served(method)[0]!);
  expect(outcomes.map(({ status, attributes }) => [status.code, attributes['rpc.response.status_code']])).toEqual([
    [SpanStatusCode.UNSET, 'UNAUTHENTICATED'],
    [SpanStatusCode.ERROR, 'UNAVAILABLE'],
    [SpanStatusCode.ERROR, 'INTERNAL'],
  ]);
  expect(outcomes.map(({ attributes }) => [attributes['gatehouse.reason'], attributes['error.type']])).toEqual([
    ['INVALID_CREDENTIALS', undefined],
    ['SERVER_BUSY', 'UNAVAILABLE'],
    ['INTERNAL', 'INTERNAL'],
  ]);
  expect(everythingIn(spans)).not.toContain('canary');
});

test('a span contains neither the caller nor the request', async () => {
  const service = await start({ env: { ...(await providerEnv()), AUTO_CONFIRM_EMAIL: 'on' }, tracer });
  await callEveryMethod(service, 'grpc');
  await refusalOf(service.clients('json').auth.signIn({ email: ada.email, password: 'a wrong one' }));
  expect(spans.length).toBeGreaterThan(50);
  expect(everythingIn(spans)).not.toMatch(/@|a difference|a wrong|[0-9a-f]{8}-[0-9a-f]{4}-|127\.0\.0\.1|eyJ|ghs_/);
});

test('without a tracer no log line has a trace id, whatever the caller sends', async () => {
  const service = await start();
  const headers = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  await refusalOf(service.clients('grpc').auth.signIn(ada, { headers }));
  expect(JSON.parse(service.ledger.lines.at(-1)!)).not.toHaveProperty('traceId');
  expect(spans).toEqual([]);
});

describe('a process', () => {
  const { MASTER_KEYS } = testEnv;
  const collector = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };

  test('with a destination for traces but without the SDK warns once and serves', async () => {
    const { url } = await createDatabase();
    const service = await serve({ DATABASE_URL: url, MASTER_KEYS, ...collector });
    await service.clients.grpc.admin.createUser(ada, asService);
    const notices = service.log().filter(({ msg }) => /traces/.test(msg ?? ''));
    expect(notices.map(({ msg }) => msg)).toEqual([
      'no traces are exported: @opentelemetry/sdk-node is not installed (docs/operations.md)',
    ]);
    expect(await service.end()).toEqual({ code: 0, signal: null });
  });

  test('with the SDK exports traces under its name, and the remaining ones at its end', async () => {
    const { url } = await createDatabase();
    const NODE_OPTIONS = `--import=${new URL('./otel-sdk.ts', import.meta.url)}`;
    const service = await serve({ DATABASE_URL: url, MASTER_KEYS, NODE_OPTIONS, ...collector });
    await service.clients.grpc.admin.createUser(ada, asService);
    expect(await service.end()).toEqual({ code: 0, signal: null });
    const exported = service.log().find(({ msg }) => msg === 'exported')!;
    expect(exported.options).toMatchObject({ serviceName: 'gatehouse', metricReaders: [], logRecordProcessors: [] });
    expect(exported.names).toContain('gatehouse.v1.AdminService/CreateUser');
  });
});

function everythingIn(all: readonly ReadableSpan[]): string {
  return JSON.stringify(
    all.map(({ name, attributes, events, status, links }) => [name, attributes, events, status, links]),
  );
}
