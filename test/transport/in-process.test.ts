import { getEventListeners, once } from 'node:events';
import { Code, createClient, createContextValues, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { Refusal } from '../../src/errors.ts';
import { inProcess } from '../../src/http/in-process.ts';
import { errors } from '../../src/rpc/connect-error.ts';
import { kOrigin, kProject, kSurface, kSystem } from '../../src/rpc/context.ts';
import { deadline } from '../../src/rpc/deadline.ts';
import { readOrigin } from '../../src/rpc/origin.ts';
import { serve } from '../../src/rpc/services.ts';
import { bob } from '../support/people.ts';
import { start } from '../support/start.ts';

const origin = { requestId: 'request-1', address: '192.0.2.1', userAgent: 'a browser' };

test('a call in the process has the origin of the request, its own headers, and 30 s', async () => {
  const { client, contexts } = open({ check: () => ({ status: Status.SERVING }) });
  const { status } = await client.check({ service: 'a' }, { headers: { authorization: 'Bearer a' } });
  expect(status).toBe(Status.SERVING);
  const [context] = contexts;
  expect(context!.values.get(kOrigin)).toEqual(origin);
  expect(context!.values.get(kSurface)).toBe('supabase');
  expect(context!.requestHeader.get('authorization')).toBe('Bearer a');
  expect(Math.ceil(context!.timeoutMs()! / 1000)).toBe(30);
});

test('a refusal of a call in the process has its code and its details', async () => {
  const { client } = open({
    check: () => {
      throw new Refusal('SESSION_NOT_FOUND', { retryAfter: 2 });
    },
  });
  const error = await client.check({}).catch((thrown) => thrown);
  expect(error.code).toBe(Code.NotFound);
  expect(error.findDetails(ErrorInfoSchema)[0].reason).toBe('SESSION_NOT_FOUND');
  expect(error.metadata.get('retry-after')).toBe('2');
});

test.each([
  ['the client disconnects', 'gone', Code.Canceled],
  ['the service stops', 'shutdown', Code.Unavailable],
] as const)('a call in the process ends when %s, and leaves no listener', async (_, which, code) => {
  const ends = { gone: new AbortController(), shutdown: new AbortController() };
  const impl = {
    check: async (_: unknown, { signal }: HandlerContext) => {
      await once(signal, 'abort');
      return {};
    },
  };
  const { client, contexts } = open(impl, ends);
  const calls = Promise.all([1, 2, 3].map(() => client.check({}).catch((thrown) => thrown.code)));
  await expect.poll(() => contexts.length).toBe(3);
  expect(getEventListeners(ends.shutdown.signal, 'abort')).toHaveLength(1);
  ends[which].abort(new Refusal('SHUTTING_DOWN'));
  expect(await calls).toEqual([code, code, code]);
  expect(getEventListeners(ends.gone.signal, 'abort')).toEqual([]);
});

test('the parallel calls of one request share no values', async () => {
  const arrived = Promise.withResolvers<void>();
  const seen: string[][] = [];
  const { client, contexts } = open({
    check: async ({ service }, { values }) => {
      values.set(kProject, service);
      if (contexts.length === 2) arrived.resolve();
      await arrived.promise;
      seen.push([service, values.get(kProject)]);
      return {};
    },
  });
  await Promise.all(['a', 'b'].map((service) => client.check({ service })));
  expect(seen.sort()).toEqual([
    ['a', 'a'],
    ['b', 'b'],
  ]);
});

test('the parallel calls of one page end independently, and have their own callers', async () => {
  const service = await start();
  const [ada, other] = [await service.welcome(), await service.welcome(bob)];
  const values = createContextValues()
    .set(
      kOrigin,
      readOrigin(() => null, '127.0.0.1', 0),
    )
    .set(kSystem, 'connectrpc');
  const { services, interceptors } = service.replicas[0]!.app;
  const options = { interceptors, proxyHops: 0, refusesUnknownFields: false };
  const open = inProcess(services, { ...options, shutdownSignal: new AbortController().signal });
  const transport = open(values, new AbortController().signal);
  const auth = createClient(AuthService, transport);
  const mfa = createClient(MfaService, transport);
  const sessions = createClient(SessionService, transport);
  for (let round = 0; round < 20; round++) {
    const [own, assurance, listed, foreign] = await Promise.all([
      auth.getMe({}, ada.as),
      mfa.getAssurance({}, ada.as),
      sessions.listSessions({}, ada.as),
      auth.getMe({}, other.as),
    ]);
    expect(own.user!.id).toBe(ada.user.id);
    expect(assurance.factors).toEqual([]);
    expect(listed.sessions.map(({ id }) => id)).toEqual([ada.session.id]);
    expect(foreign.user!.id).toBe(other.user.id);
  }
});

/** A client of the health service, within the process. */
function open(
  impl: Partial<ServiceImpl<typeof Health>>,
  { gone, shutdown } = { gone: new AbortController(), shutdown: new AbortController() },
) {
  const contexts: HandlerContext[] = [];
  const check: ServiceImpl<typeof Health>['check'] = (request, context) => {
    contexts.push(context);
    return impl.check!(request, context);
  };
  const services = [serve(Health, { ...impl, check } as ServiceImpl<typeof Health>)];
  const interceptors = [errors(() => {}), deadline()];
  const options = { interceptors, proxyHops: 0, refusesUnknownFields: true, shutdownSignal: shutdown.signal };
  const callOnBehalf = inProcess(services, options);
  const values = createContextValues().set(kOrigin, origin).set(kSurface, 'supabase');
  return { client: createClient(Health, callOnBehalf(values, gone.signal)), contexts };
}
