// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { type DescMethodUnary, fromJson, toBinary } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { describe, expect, onTestFinished, test } from 'vitest';
import { methods, nameOf, pathOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { allMailsSent } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { crowd } from '../support/race.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { send } from '../support/raw-http.ts';
import { prepareSamples, type Sample } from '../support/samples.ts';
import { scrape } from '../support/scrape.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

const poolOfTwo = { DATABASE_POOL_SIZE: '2' };
// They change nothing. Their requests hold what no URL may hold, so they are not marked NO_SIDE_EFFECTS.
const reading = [
  'AccountService.GetUsage',
  'AdminService.ListUsers',
  'AuthService.VerifyResetToken',
  // Not even that: its challenge is computed.
  'MfaService.StartPasskeySignIn',
  'SessionService.Introspect',
];
const writing = methods.filter(
  (each) => each.idempotency !== Idempotency.NO_SIDE_EFFECTS && !reading.includes(nameOf(each)),
);
const consumeUsage = methods.find((each) => nameOf(each) === 'AccountService.ConsumeUsage')!;
const refresh = methods.find((each) => nameOf(each) === 'SessionService.Refresh')!;

describe.each(wires)('over %s', (wire) => {
  test('no method writes after the deadline that passed while it waited for a connection', async () => {
    const service = await start({ env: { ...(await providerEnv()), ...poolOfTwo } });
    const sampleOf = await prepareSamples(service);
    const samples: (readonly [DescMethodUnary, Sample])[] = [];
    for (const each of writing) samples.push([each, await sampleOf(nameOf(each))]);
    await allMailsSent(service);
    const before = await service.database.checksums();
    const release = await occupyPool(service);
    const call = caller(service, wire);
    const answers = samples.map(async ([method, sample]) => [nameOf(method), await call(method, sample, 200)] as const);
    const seen = Object.fromEntries(await Promise.all(answers));
    await sleep(300);
    await release();
    await sleep(200);
    expect(await service.database.checksums()).toEqual(before);
    expect(Object.entries(seen).filter(([, reason]) => reason !== 'DEADLINE_EXCEEDED')).toEqual([]);
  });

  test('usage that was refused for its deadline stays as it was', async () => {
    const service = await start({ env: { ...poolOfTwo, USAGE: 'on' } });
    const { as } = await service.welcome();
    const call = caller(service, wire);
    const sample = { request: { amount: '10' }, headers: as.headers };
    expect(await call(consumeUsage, sample, 5000)).toBeUndefined();
    const release = await occupyPool(service);
    expect(await call(consumeUsage, sample, 200)).toBe('DEADLINE_EXCEEDED');
    await sleep(500);
    await release();
    await sleep(200);
    expect(await service.database.query('select used from usage_counters')).toEqual([{ used: '10' }]);
  });

  test('refreshes that leave while their shared statement waits for a connection do not happen', async () => {
    const service = await start({ env: poolOfTwo });
    await service.welcome();
    const signedIn = [];
    for (let n = 0; n < crowd; n++) signedIn.push(await service.signIn());
    const before = await service.database.checksums();
    const release = await occupyPool(service);
    const call = caller(service, wire);
    const sampleOf = ({ refreshToken }: { refreshToken: string }) => ({ request: { refreshToken }, headers: {} });
    const refused = signedIn.map(({ tokens }) => call(refresh, sampleOf(tokens), 200));
    expect(new Set(await Promise.all(refused))).toEqual(new Set(['DEADLINE_EXCEEDED']));
    await sleep(300);
    await release();
    await sleep(200);
    expect(await service.database.checksums()).toEqual(before);
    for (const { tokens } of signedIn.slice(0, 2)) expect(await call(refresh, sampleOf(tokens), 5000)).toBeUndefined();
  });
});

test('calls that hang up leave the queue for a connection at once, and those behind them are served', async () => {
  const service = await start({ env: poolOfTwo });
  const { as } = await service.welcome();
  const release = await occupyPool(service);
  const { sessions, auth, admin } = service.clients('json');
  const leaving = new AbortController();
  const { signal } = leaving;
  const abandoned = Array.from({ length: 10 }, () => [
    sessions.signOut({ scope: 2 }, { ...as, signal }),
    auth.signUpAnonymous({}, { signal }),
    admin.listSigningKeys({}, { ...asService, signal }),
  ]).flat();
  const outcomes = Promise.allSettled(abandoned);
  await expect.poll(() => waiting(service), { interval: 10 }).toBeGreaterThan(20);
  const patient = auth.signUpAnonymous({});
  leaving.abort();
  expect((await outcomes).map(({ status }) => status)).toEqual(abandoned.map(() => 'rejected'));
  // Jobs of the replica wait as well, one call each.
  await expect.poll(() => waiting(service), { interval: 5, timeout: 1000 }).toBeLessThan(10);
  await release();
  expect((await patient).user!.isAnonymous).toBe(true);
  expect((await auth.getMe({}, as)).user!.name).toBe(ada.name);
  const [guests] = await service.database.query('select count(*)::int as count from users where is_anonymous');
  expect(guests, 'the patient one').toEqual({ count: 1 });
});

/** Keeps both connections of the pool waiting for a lock until the result is called. */
async function occupyPool(service: TestService): Promise<() => Promise<void>> {
  const { admin } = service.clients('json');
  const release = await service.database.hold('lock table signing_keys in access exclusive mode');
  let isHeld = true;
  const letGo = async (): Promise<void> => {
    if (isHeld) await release();
    isHeld = false;
  };
  onTestFinished(letGo);
  const holding = [1, 2].map(() => admin.listSigningKeys({}, asService));
  await service.database.blocked(2);
  return async () => {
    await letGo();
    await Promise.all(holding);
  };
}

/** Calls that wait for a connection of the pool. */
async function waiting({ replicas }: TestService): Promise<number | undefined> {
  return (await scrape(replicas[0]!)).value('gatehouse_database_pool_waiting');
}

/** Calls without a client that watches the deadline. Returns the reason of the refusal. */
function caller({ replicas }: TestService, wire: Wire) {
  const { grpcPort, httpPort } = replicas[0]!;
  const grpc = new RawGrpc(grpcPort);
  onTestFinished(() => grpc.close());
  return async (method: DescMethodUnary, { request, headers }: Sample, ms: number): Promise<string | undefined> => {
    if (wire === 'json') {
      const all = { ...headers, 'connect-timeout-ms': `${ms}` };
      return (await send(httpPort, { path: pathOf(method), body: JSON.stringify(request), headers: all })).reason;
    }
    const body = frame(toBinary(method.input, fromJson(method.input, request)));
    return (await grpc.call(pathOf(method), body, { ...headers, 'grpc-timeout': `${ms}m` })).reason;
  };
}
