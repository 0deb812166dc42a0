import { expect } from 'vitest';
import type { Cluster } from '../support/cluster.ts';
import { refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';
import { Journal } from './journal.ts';

/** Two replicas on a new database of the cluster, under a load of eight writers. */
export async function startUnderLoad(cluster: Cluster) {
  const name = await cluster.createDatabase();
  const service = await start({
    replicas: 2,
    databaseUrl: () => cluster.url(name),
    env: { AUTO_CONFIRM_EMAIL: 'on', DATABASE_POOL_SIZE: '5', REFRESH_REUSE_INTERVAL: '60' },
    skipChecks: ['secrets', 'orphans'], // they read the database of the common cluster
  });
  const journal = new Journal();
  for (let i = 0; i < 8; i++) journal.write(service.clients(i % 4 < 2 ? 'grpc' : 'json', i));
  await journal.progress(20);
  const probe = async (path: string) =>
    (await fetch(`http://127.0.0.1:${service.replicas[0]!.httpPort}${path}`)).status;
  const query = <Row extends object>(sql: string) => cluster.query<Row & Record<string, unknown>>(name, sql);
  return { ...service, cluster, journal, probe, query, name };
}

export type Loaded = Awaited<ReturnType<typeof startUnderLoad>>;

const shortly = { timeout: 3000, interval: 20 };

/** While the database is down no call hangs, and the readiness probe fails. */
export async function expectOutage({ probe, clients }: Loaded): Promise<void> {
  await expect.poll(() => probe('/readyz'), shortly).toBe(503);
  expect(await probe('/livez')).toBe(200);
  expect(await probe('/.well-known/jwks.json')).toBe(200);
  for (const wire of ['grpc', 'json'] as const) {
    const asked = performance.now();
    const refusal = await refusalOf(
      clients(wire).auth.register({ email: 'x@example.org', password: 'nobody will know' }),
    );
    expect(refusal).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryAfter: 1 });
    expect(performance.now() - asked).toBeLessThan(1500);
  }
}

/** Soon after the database is back, calls succeed and the readiness probe passes. */
export async function expectRecovery({ probe, journal }: Loaded): Promise<void> {
  const up = performance.now();
  await journal.progress(8);
  await expect.poll(() => probe('/readyz'), shortly).toBe(200);
  // Five seconds on a machine with nothing else to do.
  expect(performance.now() - up).toBeLessThan(10_000);
}

/** As many concurrent calls as the pool has connections reach the database: the faults have cost no connection. */
export async function expectWholePool({ cluster, clients, replicas, query, name }: Loaded): Promise<void> {
  const release = await cluster.hold(name, 'lock table users');
  const guests = replicas.flatMap((_, i) =>
    Array.from({ length: 5 }, () => clients('grpc', i).auth.signUpAnonymous({})),
  );
  const settled = Promise.allSettled(guests);
  const blocked = `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await expect
    .poll(async () => (await query<{ n: number }>(blocked))[0]!.n, { ...shortly, message: 'in use' })
    .toBe(10);
  await release();
  await settled;
}

/** Every acknowledged write is in the database, and no refused one. */
export async function expectLedger({ journal, query }: Loaded): Promise<void> {
  await query(`delete from sessions where user_id in (select id from users where is_anonymous)`);
  await query(`delete from users where is_anonymous`);
  await journal.check(query);
}
