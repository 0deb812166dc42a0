import { getEventListeners, once } from 'node:events';
import { Code, createClient, createContextValues, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { Refusal } from '../../src/errors.ts';
import { inProcess } from '../../src/http/in-process.ts';
import { errors } from '../../src/rpc/connect-error.ts';
import { kOrigin } from '../../src/rpc/context.ts';
import { deadline } from '../../src/rpc/deadline.ts';
import { serve } from '../../src/rpc/services.ts';

const origin = { requestId: 'request-1', address: '192.0.2.1', userAgent: 'a browser' };

test('a call in the process has the origin of the request, its own headers, and 30 s', async () => {
  const { client, contexts } = open({ check: () => ({ status: Status.SERVING }) });
  const { status } = await client.check({ service: 'a' }, { headers: { authorization: 'Bearer a' } });
  expect(status).toBe(Status.SERVING);
  const [context] = contexts;
  expect(context!.values.get(kOrigin)).toEqual(origin);
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
  const values = createContextValues().set(kOrigin, origin);
  return { client: createClient(Health, callOnBehalf(values, gone.signal)), contexts };
}
