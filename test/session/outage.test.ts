import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { UnconfirmedCommit } from '../../src/database/sqlstate.ts';
import { sweep } from '../../src/jobs/janitor.ts';
import { beat } from '../../src/project/heartbeat.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());
afterEach(() => regainStandby());

/** From now on commits wait for a standby that does not exist. */
async function loseStandby(): Promise<void> {
  await cluster.query('postgres', `alter system set synchronous_standby_names = 'nobody'`);
  await cluster.query('postgres', 'select pg_reload_conf(), pg_sleep(0.1)');
}

async function regainStandby(): Promise<void> {
  await cluster.query('postgres', 'alter system reset synchronous_standby_names');
  await cluster.query('postgres', 'select pg_reload_conf(), pg_sleep(0.1)');
}

/** Cancels one statement that waits for the standby, as a call does at its deadline. Its commit stands. */
async function cancelWait(): Promise<void> {
  const cancel = `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and query !~ 'leases'`;
  await expect.poll(() => cluster.query('postgres', cancel), { timeout: 1800, interval: 20 }).toHaveLength(1);
}

/** Two replicas on the cluster of this file. */
async function startOnCluster(env: Record<string, string> = {}) {
  const name = await cluster.createDatabase();
  const service = await start({
    replicas: 2,
    databaseUrl: () => cluster.url(name),
    env: { HEARTBEAT: 'on', DATABASE_STATEMENT_TIMEOUT: '1s', DATABASE_POOL_SIZE: '5', ...env },
    skipChecks: ['secrets', 'orphans'], // they would look into the database of the common cluster
  });
  const orm = await openOrm(cluster.url(name), { poolSize: 2, statementTimeout: 1 });
  onTestFinished(() => orm.close(true));
  const query = <Row extends object>(sql: string) => cluster.query<Row & Record<string, unknown>>(name, sql);
  const outages = () =>
    query<{ seconds: number }>(
      'select extract(epoch from ended_at - started_at)::float8 as seconds from database_outages',
    );
  return { ...service, orm, query, outages, beat: (ahead = 0) => beat(new Autocommit(orm), ahead) };
}

/** A refresh whose response was lost to an outage of 12 seconds of the test's clock. */
async function refreshInOutage(env: Record<string, string> = {}) {
  const service = await startOnCluster(env);
  const { refreshToken } = (await service.guest()).tokens;
  await service.beat();
  await loseStandby();
  const lost = await refusalOf(service.clients('grpc', 0).sessions.refresh({ refreshToken }));
  expect(lost.reason, 'the outcome is unknown').toBe('DATABASE_UNAVAILABLE');
  await expect(service.beat()).rejects.toThrow();
  service.pass(12);
  await regainStandby();
  await service.beat(12);
  const retry = (replica: number) =>
    service.clients(replica ? 'json' : 'grpc', replica).sessions.refresh({ refreshToken });
  return { ...service, retry };
}

describe('the reuse interval', () => {
  test('does not run during an outage: a client without an attempt id is not signed out', async () => {
    const { clients, retry, pass } = await refreshInOutage();
    const successor = (await retry(1)).tokens!.refreshToken;
    expect((await retry(0)).tokens!.refreshToken).toBe(successor);
    pass(11);
    expect((await refusalOf(retry(1))).reason, 'a thief, later').toBe('REFRESH_TOKEN_ALREADY_USED');
    expect((await refusalOf(clients('grpc').sessions.refresh({ refreshToken: successor }))).reason).toBe(
      'SESSION_REVOKED',
    );
  });

  test('runs during an outage with HEARTBEAT=off', async () => {
    const { retry } = await refreshInOutage({ HEARTBEAT: 'off' });
    expect((await refusalOf(retry(1))).reason).toBe('REFRESH_TOKEN_ALREADY_USED');
  });

  test('stands still while an outage lasts', async () => {
    const { guest, clients } = await startOnCluster({ REFRESH_REUSE_INTERVAL: '2' });
    const { refreshToken } = (await guest()).tokens;
    await sleep(1500); // for a first beat
    const { sessions } = clients('json', 0);
    const first = (await sessions.refresh({ refreshToken })).tokens!;
    await loseStandby();
    await sleep(4500);
    expect((await clients('grpc', 1).sessions.refresh({ refreshToken })).tokens!.refreshToken).toBe(first.refreshToken);
    await regainStandby();
    const outcome = () => sessions.refresh({ refreshToken }).then(() => 'OK', reasonOf);
    await expect.poll(outcome, { timeout: 8000, interval: 200 }).toBe('REFRESH_TOKEN_ALREADY_USED');
  });

  test('runs when only the clock of a test moves', async () => {
    const { guest, clients, pass, outages } = await startOnCluster();
    const { refreshToken } = (await guest()).tokens;
    await sleep(1500);
    await clients('grpc', 0).sessions.refresh({ refreshToken });
    pass(12);
    expect((await refusalOf(clients('grpc', 1).sessions.refresh({ refreshToken }))).reason).toBe(
      'REFRESH_TOKEN_ALREADY_USED',
    );
    expect(await outages()).toEqual([]);
  });
});

describe('the heartbeat', () => {
  const off = { HEARTBEAT: 'off' };
  const row = 'select at from heartbeat';

  test('records a gap of more than two seconds, once, by the replica that beats first', async () => {
    const { beat, outages, query } = await startOnCluster(off);
    await beat();
    await beat(1.5);
    expect(await outages()).toEqual([]);
    await Promise.all([beat(10), beat(10), beat(10)]);
    const [outage, ...others] = await outages();
    expect(outage!.seconds).toBeGreaterThan(8);
    expect(outage!.seconds).toBeLessThan(11);
    expect(others).toEqual([]);
    expect(await query('select id from heartbeat')).toEqual([{ id: 1 }]);
  });

  test('writes nothing within a second, and goes on when the clock of the database is set back', async () => {
    const { beat, outages, query } = await startOnCluster(off);
    await beat(3600);
    const before = await query<{ at: Date }>(row);
    await beat(3600);
    expect(await query(row)).toEqual(before);
    await beat();
    expect((await query<{ at: Date }>(row))[0]!.at < before[0]!.at).toBe(true);
    expect(await outages()).toEqual([]);
  });

  test('fails when no standby confirms it, and then counts for nothing', async () => {
    const { beat, outages, query } = await startOnCluster(off);
    await beat();
    const before = await query(row);
    await loseStandby();
    await sleep(1000); // else the row would be new enough
    for (let i = 0; i < 3; i++) {
      const beating = expect(beat()).rejects.toThrow(UnconfirmedCommit);
      await cancelWait();
      await beating;
      await sleep(700);
      expect(await query(row)).toEqual(before);
    }
    await regainStandby();
    await beat();
    const [outage] = await outages();
    expect(outage!.seconds, 'although each beat began within two seconds of the last').toBeGreaterThan(2);
  });

  test('keeps outages for a day', async () => {
    const { beat, orm, now, outages } = await startOnCluster(off);
    await beat();
    await beat(10);
    const inHours = (hours: number) => new Date(now().getTime() + hours * 3_600_000);
    await sweep(orm, inHours(23));
    expect(await outages()).toHaveLength(1);
    await sweep(orm, inHours(25));
    expect(await outages()).toEqual([]);
  });
});

test('a commit that stands without its standby is UNAVAILABLE, in a transaction and in a statement of its own', async () => {
  const { clients, guest, query } = await startOnCluster({ HEARTBEAT: 'off' });
  const { auth, sessions } = clients('grpc');
  const { tokens, session } = await guest();
  await loseStandby();
  for (const call of [() => auth.signUpAnonymous({}), () => sessions.refresh({ refreshToken: tokens.refreshToken })]) {
    const outcome = reasonOfCall(call());
    await cancelWait();
    expect(await outcome).toBe('DATABASE_UNAVAILABLE');
  }
  expect(await query(`select generation from sessions where id = '${session.id}'`)).toEqual([{ generation: 1 }]);
  expect(await query('select count(*)::int as users from users')).toEqual([{ users: 2 }]);
  await regainStandby();
  await sessions.refresh({ refreshToken: tokens.refreshToken });
});

test('a write that no standby confirms is UNAVAILABLE, and costs the pool no connection', async () => {
  const { clients, guest } = await startOnCluster({ HEARTBEAT: 'off', DATABASE_POOL_SIZE: '2' });
  await loseStandby();
  const { auth } = clients('json');
  for (let i = 0; i < 3; i++)
    expect(await Promise.all([auth.signUpAnonymous({}), auth.signUpAnonymous({})].map(reasonOfCall))).toEqual([
      'DATABASE_UNAVAILABLE',
      'DATABASE_UNAVAILABLE',
    ]);
  await regainStandby();
  await Promise.all(Array.from({ length: 6 }, guest));
});

function reasonOfCall(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(() => 'OK', reasonOf);
}
