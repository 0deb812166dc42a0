import type { DescMethodUnary } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { isCommitOfCall } from '../support/commits.ts';
import { methods, nameOf, pathOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { type DatabaseProxy, startProxy } from '../support/proxy.ts';
import { send } from '../support/raw-http.ts';
import { prepareSamples, type Sample } from '../support/samples.ts';
import { start, type TestService } from '../support/start.ts';

const mutating = methods.filter((each) => each.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS);

test('a connection that is reset after any commit of any method leaves its outcome unknown: UNAVAILABLE, never a refusal', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { ...(await providerEnv()), LIMITS: '*=off' } });
  const sampleOf = await prepareSamples(service);
  const deviations: string[] = [];
  let tried = 0;
  for (const method of mutating) {
    const name = nameOf(method);
    for (let n = 1; ; n++) {
      const { wasReset, outcome } = await callWithReset(service, proxy, method, await sampleOf(name), n);
      if (wasReset && n === 1) tried++;
      if (outcome !== (wasReset ? '503 DATABASE_UNAVAILABLE' : '200'))
        deviations.push(`${name}, write ${n}: ${outcome}`);
      if (!wasReset) break;
    }
  }
  expect(deviations).toEqual([]);
  expect(tried, 'methods that write').toBeGreaterThan(80);
}, 120_000);

/** Calls a method, and resets its connection to the database between its nth commit and the response to it. */
async function callWithReset(
  { replicas }: TestService,
  proxy: DatabaseProxy,
  method: DescMethodUnary,
  { request, headers }: Sample,
  n: number,
) {
  const isCommit = isCommitOfCall();
  let seen = 0;
  let wasReset = false;
  let isOver = false;
  const reached = proxy.hold('after', (sent) => !isOver && isCommit(sent) && ++seen === n);
  void reached.then((held) => {
    wasReset = true;
    held.reset();
  });
  const response = await send(replicas[0]!.httpPort, { path: pathOf(method), headers, body: JSON.stringify(request) });
  isOver = true;
  return { wasReset, outcome: `${response.status} ${response.reason ?? ''}`.trim() };
}
