// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import type { Interceptor } from '@connectrpc/connect';
import { pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { sharedWork } from '../../src/database/lease.ts';
import { openOrm } from '../../src/database/orm.ts';
import { transact } from '../../src/database/transaction.ts';
import { runInBackground } from '../../src/jobs/scheduler.ts';
import { kSystem } from '../../src/rpc/context.ts';
import { rotateKeys } from '../../src/session/key-ring.ts';
import { Metrics } from '../../src/telemetry/metrics/metrics.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { callEveryMethod } from '../support/methods.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, Pause, together } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { Scrape, scrape } from '../support/scrape.ts';
import { bearer, start, wires } from '../support/start.ts';

const calls = 'rpc_server_call_duration_seconds';

describe.each(wires)('over %s', (wire) => {
  test('each call is counted and timed once, by method, transport and status', async () => {
    const made = new Map<string, number>();
    const count: Interceptor = (next) => async (req) => {
      const answer = await next(req);
      const name = `${req.contextValues.get(kSystem)} ${req.service.typeName}/${req.method.name}`;
      made.set(name, (made.get(name) ?? 0) + 1);
      return answer;
    };
    const env = { ...(await providerEnv()), AUTO_CONFIRM_EMAIL: 'on' };
    const service = await start({ env, inner: [count] });
    await callEveryMethod(service, wire);
    await refusalOf(service.clients(wire).sessions.refresh({ refreshToken: 'nonsense' }));
    await refusalOf(service.clients(wire).auth.signIn({ ...ada, password: '' }));
    const scraped = await scrape(service.replicas[0]!);
    const system = { rpc_system_name: wire === 'grpc' ? 'grpc' : 'connectrpc' };
    const answered = scraped.samples.filter(
      ({ name, labels }) => name === `${calls}_count` && labels.rpc_response_status_code === 'OK',
    );
    const counted = answered.map(({ labels, value }) => [`${labels.rpc_system_name} ${labels.rpc_method}`, value]);
    expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(made));
    const refresh = { ...system, rpc_method: 'gatehouse.v1.SessionService/Refresh' };
    expect(scraped.value(`${calls}_count`, { ...refresh, rpc_response_status_code: 'UNAUTHENTICATED' })).toBe(1);
    const signIn = { ...system, rpc_method: 'gatehouse.v1.AuthService/SignIn' };
    expect(scraped.value(`${calls}_count`, { ...signIn, rpc_response_status_code: 'INVALID_ARGUMENT' })).toBe(1);
    const took = scraped.value(`${calls}_sum`, { ...refresh, rpc_response_status_code: 'OK' })!;
    expect(took, 'in seconds').toSatisfy((seconds: number) => seconds > 0.0001 && seconds < 5);
    expect(scraped.value(`${calls}_bucket`, { ...refresh, rpc_response_status_code: 'OK', le: '+Inf' })).toBe(2);
    expect(scraped.value('gatehouse_refusals_total', { reason: 'REFRESH_TOKEN_INVALID' })).toBe(1);
    expect(scraped.value('gatehouse_calls_in_flight')).toBe(0);
  });
});

test('sign-ins are counted by their true outcome', async () => {
  const service = await start({ env: { LIMITS: '*=off,AuthService.SignIn=6,AuthService.SignIn:success=2' } });
  const { auth, admin } = service.clients('json');
  const { user } = await service.welcome(ada);
  await refusalOf(auth.signIn({ ...ada, password: 'wrong' }));
  await refusalOf(auth.signIn({ ...bob }));
  await refusalOf(auth.signIn({ ...ada, password: '' }));
  await admin.banUser({ userId: user.id }, asService);
  await refusalOf(auth.signIn(ada));
  await admin.unbanUser({ userId: user.id }, asService);
  await auth.signIn(ada);
  for (let i = 0; i < 2; i++) await refusalOf(auth.signIn(ada));
  const scraped = await scrape(service.replicas[0]!);
  expect(scraped.by('outcome', 'gatehouse_sign_ins_total')).toEqual({
    success: 2,
    wrong_password: 1,
    unknown_email: 1,
    unreadable_hash: 0,
    no_password: 0,
    changed_meanwhile: 0,
    banned: 1,
    email_not_verified: 0,
    limited: 2,
    account_limited: 0,
    network_limited: 0,
    project_limited: 0,
    over_capacity: 0,
    other: 1,
  });
  const limited = scraped.by('rpc_method', 'gatehouse_calls_rate_limited_total');
  expect(limited).toMatchObject({ 'gatehouse.v1.AuthService/SignIn': 2, 'gatehouse.v1.AuthService/Register': 0 });
});

test('refreshes are counted by result, and reuse once for each revoked session', async () => {
  const service = await start({ env: { LIMITS: '*=off,SessionService.Refresh:session=3' } });
  const { sessions } = service.clients('grpc');
  const refresh = async (refreshToken: string) => (await sessions.refresh({ refreshToken })).tokens!.refreshToken;
  const { tokens } = await service.welcome(ada);
  const second = await refresh(tokens.refreshToken);
  expect(await refresh(tokens.refreshToken)).toBe(second);
  const third = await refresh(second);
  await refusalOf(refresh(await refresh(third)));
  // The oldest token is used three times; the last two times its session is already revoked.
  for (let i = 0; i < 3; i++) await refusalOf(refresh(tokens.refreshToken));
  await refusalOf(refresh('nonsense'));
  const left = await service.signIn();
  await sessions.signOut({}, left.as);
  await refusalOf(refresh(left.tokens.refreshToken));
  const idle = await service.signIn();
  service.pass(8 * 86_400);
  await refusalOf(refresh(idle.tokens.refreshToken));
  const scraped = await scrape(service.replicas[0]!);
  expect(scraped.by('result', 'gatehouse_refreshes_total')).toEqual({
    fresh: 3,
    replayed: 1,
    reused: 3,
    superseded: 0,
    invalid: 1,
    expired: 1,
    revoked: 1,
    limited: 1,
    other: 0,
  });
  expect(scraped.value('gatehouse_refresh_reuse_detected_total')).toBe(1);
});

test('calls in progress are counted, and so are calls refused because of MAX_IN_FLIGHT', async () => {
  const pause = new Pause('Register');
  const service = await start({ env: { MAX_IN_FLIGHT: '1' }, inner: [pause.interceptor()] });
  const { auth } = service.clients('grpc');
  const reached = pause.next();
  const registering = auth.register(ada);
  await reached;
  expect((await refusalOf(auth.signIn(ada))).reason).toBe('SERVER_BUSY');
  const busy = await scrape(service.replicas[0]!);
  expect(busy.value('gatehouse_calls_in_flight')).toBe(1);
  expect(busy.value('gatehouse_calls_shed_total')).toBe(1);
  pause.resume();
  await registering;
  expect((await scrape(service.replicas[0]!)).value('gatehouse_calls_in_flight')).toBe(0);
});

test('running and waiting hashes are shown, and their duration', async () => {
  const env = { HASH_CONCURRENCY: '1', HASH_QUEUE: '3', PASSWORD_HASH_COST: 'm=65536,t=6,p=1' };
  const service = await start({ env });
  const { auth } = service.clients('grpc');
  const signingIn = together(() => auth.signIn(ada), 4);
  const loads = async () => {
    const scraped = await scrape(service.replicas[0]!);
    return ['gatehouse_hashes_in_flight', 'gatehouse_hash_queue_length'].map((name) => scraped.value(name));
  };
  await expect.poll(loads, { interval: 5 }).toEqual([1, 3]);
  await signingIn;
  const scraped = await scrape(service.replicas[0]!);
  expect(scraped.value('gatehouse_hash_queue_limit')).toBe(3);
  expect(scraped.value('gatehouse_hash_duration_seconds_count')).toBe(4);
  expect(scraped.value('gatehouse_hash_duration_seconds_sum')! / 4, 'the wait aside').toBeGreaterThan(0.01);
  expect(await loads()).toEqual([0, 0]);
});

test('the pool shows its connections, the waiting queries and the duration of the waits', async () => {
  const service = await start({ env: { DATABASE_POOL_SIZE: '1' } });
  const { user, as } = await service.welcome(ada);
  const release = await service.database.hold('select 1 from users where id = $1 for update', [user.id]);
  const { auth } = service.clients('json');
  const held = auth.signIn(ada);
  await service.database.blocked(1);
  const waiting = auth.getMe({}, as);
  const pool = async () => {
    const scraped = await scrape(service.replicas[0]!);
    const connections = scraped.by('state', 'gatehouse_database_pool_connections');
    return { ...connections, waiting: scraped.value('gatehouse_database_pool_waiting')! > 0 };
  };
  await expect.poll(pool).toEqual({ idle: 0, used: 1, waiting: true });
  await sleep(60);
  await release();
  await Promise.all([held, waiting]);
  const scraped = await scrape(service.replicas[0]!);
  expect(scraped.value('gatehouse_database_pool_limit')).toBe(1);
  const atMost50ms = scraped.value('gatehouse_database_pool_wait_seconds_bucket', { le: '0.05' })!;
  expect(scraped.value('gatehouse_database_pool_wait_seconds_count')).toBeGreaterThan(atMost50ms);
});

test('repeated transactions are counted by operation', async () => {
  vi.stubEnv('ISOLATION', 'serializable');
  const barrier = new Barrier('SignIn');
  const service = await start({ inner: [barrier.interceptor()] });
  vi.unstubAllEnvs();
  await service.welcome(ada);
  const { auth } = service.clients('grpc');
  const retries = async () => {
    barrier.expect(5);
    expect((await together(() => auth.signIn(ada), 5)).errors).toEqual([]);
    return (await scrape(service.replicas[0]!)).by('operation', 'gatehouse_transaction_retries_total').user_sign_in;
  };
  // Five statements overlap nearly always, but not always.
  await expect.poll(retries).toBeGreaterThan(0);
});

test('signing keys are shown by state, with the age of the oldest in each', async () => {
  const service = await start();
  const [replica] = service.replicas;
  service.pass(3600);
  const before = await scrape(replica!);
  expect(before.by('state', 'gatehouse_signing_keys')).toEqual({ standby: 1, active: 1, retired: 0 });
  expect(before.value('gatehouse_signing_key_age_seconds', { state: 'active' })).toBeCloseTo(3600, -2);
  const orm = await openOrm(service.database.url);
  const keys = new MasterKeys(service.config.masterKeys);
  await transact(orm, (em) => rotateKeys(em, keys, { force: true, now: service.now() }));
  await orm.close(true);
  await replica!.ring.reload();
  const after = await scrape(replica!);
  expect(after.by('state', 'gatehouse_signing_keys')).toEqual({ standby: 1, active: 1, retired: 1 });
  expect(after.value('gatehouse_signing_key_age_seconds', { state: 'active' })).toBeLessThan(60);
});

test('background jobs show the time of their last success and the number of failures', async () => {
  const metrics = new Metrics('1.2.3', () => new Date(1_800_000_000_000));
  const fail = () => Promise.reject(new Error('not today'));
  const jobs = runInBackground(
    [
      { name: 'good', every: 1, run: async () => {} },
      { name: 'bad', every: 1, run: fail },
    ],
    pino({ level: 'silent' }),
    (names) => metrics.countJobs(names),
  );
  await sleep(50);
  await jobs.stop();
  const scraped = new Scrape(await metrics.scrape());
  expect(scraped.by('name', 'gatehouse_job_last_success_timestamp_seconds')).toEqual({ good: 1_800_000_000 });
  expect(scraped.value('gatehouse_job_failures_total', { name: 'good' })).toBe(0);
  expect(scraped.value('gatehouse_job_failures_total', { name: 'bad' })).toBeGreaterThan(1);
});

test('the metrics include the process, its event loop and the version', async () => {
  const service = await start();
  const scraped = await scrape(service.replicas[0]!);
  expect(scraped.value('gatehouse_build_info', { version: packageJson.version })).toBe(1);
  expect(scraped.value('gatehouse_ready')).toBe(1);
  expect(scraped.value('process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
  expect(scraped.value('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0);
  expect(scraped.value('nodejs_eventloop_utilization_ratio')).toSatisfy((share: number) => share >= 0 && share <= 1);
  expect(scraped.types.get('nodejs_gc_duration_seconds')).toBe('histogram');
});

test('labels contain only names of the code and the contract, whatever callers send', async () => {
  const service = await start();
  const canary = 'canary.7f3a@example.org';
  const { auth, sessions } = service.clients('grpc');
  const leases = async () => (await scrape(service.replicas[0]!)).value('gatehouse_lease_held');
  await expect.poll(leases, { timeout: 5000 }).toBe(sharedWork.length);
  const attack = async (round: number) => {
    const email = `${round}${canary}`;
    const headers = { 'x-request-id': `canary-${round}`, 'gatehouse-project': `canary${round}`, 'user-agent': canary };
    await service.welcome({ email, password: `canary-7f3a the ${round}` });
    await refusalOf(auth.signIn({ email, password: 'canary-7f3a' }));
    await refusalOf(auth.signIn({ email, password: 'canary-7f3a' }, { headers }));
    await refusalOf(sessions.refresh({ refreshToken: `canary-7f3a${round}` }, { headers }));
    await refusalOf(auth.getMe({}, bearer({ accessToken: `canary.7f3a.${round}` })));
  };
  await attack(0);
  const series = async () =>
    (await scrape(service.replicas[0]!)).samples.filter(({ name }) => /^(rpc|gatehouse)_(?!job)/.test(name));
  const before = await series();
  for (let round = 1; round < 8; round++) await attack(round);
  const after = await series();
  const identity = ({ name, labels }: (typeof after)[number]) => `${name} ${JSON.stringify(labels)}`;
  expect(after.map(identity).sort()).toEqual(before.map(identity).sort());
  expect(JSON.stringify(after)).not.toContain('canary');
  const labels = new Set(after.flatMap((each) => Object.keys(each.labels)));
  const known =
    'le rpc_system_name rpc_method rpc_response_status_code reason outcome result state operation version sqlstate lease';
  expect([...labels].filter((each) => !known.split(' ').includes(each))).toEqual([]);
});
