import { afterAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { createDatabase } from '../support/database.ts';
import { asService } from '../support/people.ts';
import { start } from '../support/start.ts';

/*
 * PostgreSQL counts two transactions that lock one row together as a MultiXact. There are 2^32 of them, and to clean them up
 * it has to read whole tables.
 */
const cluster: Cluster = await startCluster();
afterAll(() => cluster.remove());

async function countMultiXacts(): Promise<number> {
  await cluster.query('postgres', 'checkpoint');
  const [row] = await cluster.query<{ next: string }>(
    'postgres',
    'select next_multixact_id::text as next from pg_control_checkpoint()',
  );
  return Number(row!.next);
}

test('1,000 sign-ins of 100 users over two replicas make at most five MultiXacts', async () => {
  const name = await cluster.createDatabase();
  const env = { LIMITS: '*=off', SESSIONS_PER_USER: '5', DATABASE_POOL_SIZE: '8' };
  const service = await start({
    replicas: 2,
    env,
    databaseUrl: () => cluster.url(name),
    skipChecks: ['secrets', 'orphans'],
  });
  const people = Array.from({ length: 100 }, (_, n) => ({
    email: `person${n}@example.org`,
    password: 'a difference engine',
  }));
  const { admin } = service.clients('json');
  await Promise.all(people.map((each) => admin.createUser(each, asService)));
  const before = await countMultiXacts();
  let next = 0;
  const signInSteadily = async (lane: number) => {
    while (next < 1000) {
      const person = people[next++ % people.length]!;
      await service.clients(lane % 2 ? 'grpc' : 'json', lane).auth.signIn(person);
    }
  };
  await Promise.all(Array.from({ length: 24 }, (_, lane) => signInSteadily(lane)));
  expect((await countMultiXacts()) - before).toBeLessThanOrEqual(5);
});

test('only users and accounts have foreign keys to projects', async () => {
  const { query } = await createDatabase();
  const keys = await query<{ from: string }>(
    `select conrelid::regclass::text as "from" from pg_constraint where confrelid = 'projects'::regclass order by 1`,
  );
  expect(keys.map((each) => each.from)).toEqual(['accounts', 'users']);
});
