import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { ada, asService } from '../support/people.ts';
import { reasonOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.remove());

test.each(wires)('a crash of PostgreSQL forgets no failed attempts and no mails, over %s', async (wire) => {
  const name = await cluster.createDatabase();
  const service = await start({
    replicas: 2,
    databaseUrl: () => cluster.url(name),
    env: { LIMITS: '*=off,AuthService.SignIn:consecutive=5,AuthService.SignInWithMagicLink:account=5' },
    skipChecks: ['secrets', 'orphans'], // they would look into the database of the common cluster
  });
  const { auth, admin } = service.clients(wire);
  await admin.createUser({ ...ada, emailVerified: true }, asService);
  const guess = (replica: number, password = 'a wrong password') =>
    service
      .clients(wire, replica)
      .auth.signIn({ ...ada, password })
      .then(() => 'OK', reasonOf);
  for (let i = 0; i < 5; i++) expect(await guess(i)).toBe('INVALID_CREDENTIALS');
  await auth.requestPasswordReset({ email: ada.email });
  const counters = () => cluster.query(name, 'select key, hits, window_ends_at from durable_rate_limits order by key');
  const before = await counters();
  expect(before.map(({ key }) => key.split(' ').slice(0, 2).join(' '))).toEqual([
    'mail gap',
    'mail hour',
    'password streak',
  ]);
  await cluster.kill();
  await cluster.start();
  await expect.poll(() => guess(0), { timeout: 5000 }).toBe('OVER_REQUEST_RATE_LIMIT');
  expect(await guess(1, ada.password), 'the right password').toBe('OVER_REQUEST_RATE_LIMIT');
  expect(await counters()).toEqual(before);
});
