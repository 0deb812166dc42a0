import { setTimeout as sleep } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { type Followed, follow } from '../support/login-streams.ts';
import { ada, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { scrape } from '../support/scrape.ts';
import { type Clients, start, wires } from '../support/start.ts';

const { PENDING, APPROVED } = LoginState;

const begin = async ({ devices }: Clients) => {
  const login = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
  return { pollingSecret: login.pollingCode, pollingCode: login.pollingCode, authCode: authCodeOf(login) };
};

function watch({ devices }: Clients, pollingSecret: string, headers: Record<string, string> = {}): Followed {
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  return follow(devices.awaitLogin({ pollingSecret }, { signal: leaving.signal, headers }));
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

describe.each(wires)('over %s', (wire) => {
  test('a confirmation on one replica reaches the stream on another within a tenth of a second', async () => {
    const service = await start({ replicas: 2 });
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const [here, there] = [service.clients(wire, 0), service.clients(wire, 1)];
    const latencies: number[] = [];
    const controls: number[] = [];
    for (let round = 0; round < 21; round++) {
      const login = await begin(here);
      const stream = watch(here, login.pollingSecret);
      await stream.saw(1);
      await sleep(10 + ((round * 7) % 50));
      const calledAt = performance.now();
      await there.devices.confirmFingerprintLogin(login, as);
      const confirmedAt = performance.now();
      await stream.ended;
      expect(stream.states).toEqual([PENDING, APPROVED]);
      latencies.push(stream.arrivals[1]! - confirmedAt);
      controls.push(confirmedAt - calledAt);
    }
    // The control is a call on the same machine at the same time: a busy one slows both down.
    expect(median(latencies)).toBeLessThan(100 + 4 * median(controls));
  });

  test('a stream goes on at another replica with the same secret when its replica is killed', async () => {
    const service = await start();
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const survivor = service.clients(wire);
    const victim = await serve({ DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS });
    const login = await begin(survivor);
    const stream = watch(victim.clients[wire], login.pollingSecret);
    expect(await stream.saw(1)).toBe(PENDING);
    await victim.end('SIGKILL');
    await expect(stream.ended).rejects.toThrow();
    const resumed = watch(survivor, login.pollingSecret);
    expect(await resumed.saw(1)).toBe(PENDING);
    await survivor.devices.confirmFingerprintLogin(login, as);
    await resumed.ended;
    expect(resumed.states).toEqual([PENDING, APPROVED]);
    expect((await survivor.devices.pollFingerprintLogin(login)).tokens).toBeDefined();
  });

  test('a replica that shuts down ends its streams at once', async () => {
    const service = await start({ replicas: 2, env: { SHUTDOWN_GRACE: '5', SHUTDOWN_DELAY: '0' } });
    const login = await begin(service.clients(wire, 0));
    const stream = watch(service.clients(wire, 1), login.pollingSecret);
    await stream.saw(1);
    const since = performance.now();
    const stopped = service.replicas[1]!.stop();
    expect(await refusalOf(stream.ended)).toMatchObject({ code: Code.Unavailable, reason: 'SHUTTING_DOWN' });
    await stopped;
    expect(performance.now() - since, 'far less than the 5 s of grace').toBeLessThan(3500);
  });
});

test('two hundred streams cost one statement every 50 ms, no connection, and nothing once they have ended', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { TRUSTED_PROXY_HOPS: '1', DATABASE_POOL_SIZE: '5' } });
  const clients = service.clients('json');
  const looks = () => proxy.statements.filter(({ name }) => name === 'login_attempt_changes').length;
  const looksIn = async (milliseconds: number) => {
    const before = looks();
    await sleep(milliseconds);
    return looks() - before;
  };
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const open = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const { pollingSecret } = await begin(clients);
      const headers = { 'x-forwarded-for': `192.0.2.${i % 250}` };
      await follow(clients.devices.awaitLogin({ pollingSecret }, { signal: leaving.signal, headers })).saw(1);
    }
  };
  expect(await looksIn(300)).toBe(0);
  await open(1);
  const alone = await looksIn(1000);
  expect(alone).toBeGreaterThan(2);
  expect(alone).toBeLessThanOrEqual(21);
  await open(199);
  expect(await looksIn(1000)).toBeLessThanOrEqual(21);
  const busy = `select count(*)::int as count from pg_stat_activity where datname = current_database()
    and state <> 'idle' and pid <> pg_backend_pid()`;
  const [connections] = await service.database.query<{ count: number }>(busy);
  expect(connections!.count, 'no stream holds one of the five').toBeLessThan(5);
  const streams = async () => (await scrape(service.replicas[0]!)).value('gatehouse_login_streams');
  expect(await streams()).toBe(200);
  leaving.abort();
  await expect.poll(streams).toBe(0);
  await sleep(100);
  expect(await looksIn(300)).toBe(0);
});

test('a stream outlives an outage of the database', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, skipChecks: ['errors'] });
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const clients = service.clients('grpc');
  const login = await begin(clients);
  const stream = watch(clients, login.pollingSecret);
  await stream.saw(1);
  await proxy.refuse();
  await sleep(300);
  await proxy.accept();
  const confirm = () => clients.devices.confirmFingerprintLogin(login, as).catch(() => undefined);
  await expect.poll(confirm, { timeout: 5000 }).toBeDefined();
  await stream.ended;
  expect(stream.states).toEqual([PENDING, APPROVED]);
});

test('a change that is committed long after its time is found', async () => {
  const service = await start();
  const clients = service.clients('grpc');
  const stream = watch(clients, (await begin(clients)).pollingSecret);
  await stream.saw(1);
  await service.database.query(
    `update login_attempts set state = 'approved', changed_at = now() - interval '4 seconds'`,
  );
  await stream.saw(2);
  expect(stream.states).toEqual([PENDING, APPROVED]);
  const late = watch(clients, (await begin(clients)).pollingSecret);
  await late.saw(1);
  await service.database.query(`update login_attempts set state = 'denied', changed_at = now() - interval '30 seconds'
    where state = 'pending'`);
  await late.ended;
});
