import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { openOrm, requireDatabase } from '../../src/database/orm.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { send } from '../support/raw-http.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { scrape } from '../support/scrape.ts';
import { type Standby, startStandby } from '../support/standby.ts';
import { start, type TestService, wires } from '../support/start.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());

const shortly = { timeout: 6000, interval: 50 };
const parameters = ['in_hot_standby', 'default_transaction_read_only'];

/** Two replicas on a new database of the cluster, behind a proxy. */
async function startOnCluster() {
  const name = await cluster.createDatabase();
  const proxy = await startProxy(cluster.socketDir);
  const service = await start({
    replicas: 2,
    databaseUrl: () => proxy.url({ name }),
    skipChecks: ['secrets', 'orphans'], // they would look into the database of the common cluster
  });
  return { ...service, name, proxy, as: await service.guest() };
}

async function readyz({ replicas }: Pick<TestService, 'replicas'>, replica = 0) {
  const { status, text } = await send(replicas[replica]!.httpPort, { method: 'GET', path: '/readyz' });
  return `${status} ${JSON.parse(text).status}`;
}

/** Every replica is alive but not ready, and no call succeeds on either wire, also none that only reads. */
async function expectRefusals(service: TestService, accessToken: string): Promise<void> {
  for (const replica of [0, 1]) {
    await expect.poll(() => readyz(service, replica), shortly).toBe('503 not ready');
    expect((await send(service.replicas[replica]!.httpPort, { method: 'GET', path: '/livez' })).status).toBe(200);
    expect((await scrape(service.replicas[replica]!)).value('gatehouse_ready')).toBe(0);
    for (const wire of wires) {
      const { sessions, auth, health } = service.clients(wire, replica);
      const calls = [sessions.introspect({ token: accessToken }, asService), auth.signUpAnonymous({})];
      expect(await Promise.all(calls.map((call) => call.then(() => 'OK', reasonOf)))).toEqual(
        calls.map(() => 'DATABASE_UNAVAILABLE'),
      );
      if (wire === 'grpc') expect((await health.check({})).status).toBe(Status.NOT_SERVING);
    }
  }
}

async function expectService(service: TestService): Promise<void> {
  for (const replica of [0, 1]) {
    await expect.poll(() => readyz(service, replica), shortly).toBe('200 ready');
    for (const wire of wires) await service.clients(wire, replica).auth.signUpAnonymous({});
  }
}

describe('a standby', () => {
  let standby: Standby;
  beforeAll(async () => {
    standby = await startStandby(cluster);
  });
  afterAll(() => standby.remove());

  /** The standby has what the primary has committed so far, and receives nothing from now on. */
  async function fallBehind(name: string): Promise<void> {
    const [row] = await cluster.query<{ lsn: string }>(name, 'select pg_current_wal_lsn()::text as lsn');
    const hasReplayed = `select pg_last_wal_replay_lsn() >= '${row!.lsn}' as yes`;
    await expect.poll(() => standby.query('postgres', hasReplayed), shortly).toEqual([{ yes: true }]);
    await standby.query('postgres', 'select pg_wal_replay_pause()');
  }

  test.each(['reported by the server', 'withheld by a pooler'])(
    'is refused, so that no session that was revoked meanwhile is accepted (its state is %s)',
    async (way) => {
      const { as, name, proxy, ...service } = await startOnCluster();
      if (way.startsWith('withheld')) proxy.withhold(...parameters);
      const { accessToken } = as.tokens;
      await fallBehind(name);
      onTestFinished(() => standby.query('postgres', 'select pg_wal_replay_resume()').then(() => {}));
      await service.clients('json').sessions.signOut({ refreshToken: as.tokens.refreshToken });
      proxy.redirect(standby.socketDir);
      await expectRefusals(service, accessToken);
      proxy.redirect(cluster.socketDir);
      await expectService(service);
      const introspected = await service.clients('grpc', 1).sessions.introspect({ token: accessToken }, asService);
      expect(introspected.active).toBe(false);
    },
  );

  test('is no database to start with', async () => {
    const orm = await openOrm(standby.url('postgres'));
    onTestFinished(() => orm.close(true));
    await expect(requireDatabase(orm)).rejects.toMatchObject({ code: '25006' });
  });

  test('is accepted once it is promoted', async () => {
    const { as, proxy, ...service } = await startOnCluster();
    const name = service.name;
    await fallBehind(name);
    await standby.query('postgres', 'select pg_wal_replay_resume()');
    proxy.redirect(standby.socketDir);
    await expectRefusals(service, as.tokens.accessToken);
    await standby.query('postgres', 'select pg_promote()');
    await expectService(service);
    proxy.redirect(cluster.socketDir);
  });
});

describe('a primary with default_transaction_read_only', () => {
  afterEach(() => setReadOnly('off'));

  async function setReadOnly(value: 'on' | 'off'): Promise<void> {
    await cluster.query('postgres', `alter system set default_transaction_read_only = ${value}`);
    await cluster.query('postgres', 'select pg_reload_conf(), pg_sleep(0.1)');
  }

  test.each(['reported by the server', 'withheld by a pooler'])(
    'is refused over new connections (its state is %s)',
    async (way) => {
      const { as, proxy, ...service } = await startOnCluster();
      if (way.startsWith('withheld')) proxy.withhold(...parameters);
      await setReadOnly('on');
      proxy.reset();
      await expectRefusals(service, as.tokens.accessToken);
      await setReadOnly('off');
      await expectService(service);
    },
  );

  test('refuses writes over open connections as unavailable, when a pooler withholds its state', async () => {
    const { proxy, clients } = await startOnCluster();
    proxy.withhold(...parameters);
    await setReadOnly('on');
    for (const wire of wires) {
      const refusal = await refusalOf(clients(wire).auth.signUpAnonymous({}));
      expect(refusal).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryAfter: 1 });
    }
  });

  test('ends the connections that are open when it becomes read-only', async () => {
    const { as, proxy, ...service } = await startOnCluster();
    const token = as.tokens.accessToken;
    const calls = () =>
      [0, 1].flatMap((replica) => {
        const { sessions, auth } = service.clients('grpc', replica);
        return [
          sessions.introspect({ token }, asService),
          ...Array.from({ length: 3 }, () => auth.signUpAnonymous({})),
        ];
      });
    for (let i = 0; i < 3; i++) await Promise.all(calls());
    expect(proxy.connections).toBeGreaterThan(5);
    await setReadOnly('on');
    await Promise.allSettled(calls());
    await sleep(200);
    await expectRefusals(service, as.tokens.accessToken);
    await setReadOnly('off');
    await expectService(service);
  });
});
