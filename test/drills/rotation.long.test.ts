import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startBalancer } from '../support/balancer.ts';
import { startCluster } from '../support/cluster.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { ada } from '../support/people.ts';
import { run, serve } from '../support/process.ts';
import { reasonOf } from '../support/refusal.ts';
import { bearer, clientsOver } from '../support/start.ts';
import { freePort } from '../support/tls-postgres.ts';

type Env = Record<string, string>;
type Replica = Awaited<ReturnType<typeof serve>>;

const keyOf = (words: string) => createHash('sha256').update(words).digest('base64');
const digestOf = (words: string) => createHash('sha256').update(words).digest('hex');

const master = { old: `old:${keyOf('an old master key')}`, next: `next:${keyOf('the next master key')}` };
const pepper = { old: `old:${keyOf('an old pepper')}`, next: `next:${keyOf('the next pepper')}` };
const service = { old: 'ghs_the-old-service-key-of-orders', next: 'ghs_the-next-service-key-of-orders' };
const listed = { old: `orders:${digestOf(service.old)}`, next: `orders-next:${digestOf(service.next)}` };

/** Two replicas on ports of their own behind a balancer, restarted one after the other. */
async function startPair(first: Env) {
  const places: Env[] = [];
  for (let replica = 0; replica < 2; replica++) {
    const [grpc, http, admin] = [await freePort(), await freePort(), await freePort()];
    places.push({ GRPC_PORT: `${grpc}`, HTTP_PORT: `${http}`, ADMIN_PORT: `${admin}` });
  }
  const running: Replica[] = [];
  for (const place of places) running.push(await serve({ ...first, ...place }));
  const port = await startBalancer(
    places.map((place) => ({
      host: '127.0.0.1',
      port: Number(place.GRPC_PORT),
      probe: `http://127.0.0.1:${place.ADMIN_PORT}/readyz`,
    })),
  );
  return {
    port,
    async roll(env: Env) {
      for (const [index, place] of places.entries()) {
        expect(await running[index]!.end()).toEqual({ code: 0, signal: null });
        running[index] = await serve({ ...env, ...place });
        await sleep(500); // two probes of the balancer
      }
    },
  };
}

/** Clients that sign in, refresh and introspect until they are stopped. */
function keepCalling(port: number) {
  const { transport, close } = grpcTransport(`127.0.0.1:${port}`);
  onTestFinished(close);
  const { auth, sessions } = clientsOver(transport);
  const state = { serviceKey: service.old, calls: 0, isOver: false };
  const lost: string[] = [];
  const callAll = async (refreshToken: string) => {
    const { tokens } = await sessions.refresh({ refreshToken });
    const headers = { authorization: `Bearer ${state.serviceKey}` };
    const { active } = await sessions.introspect({ token: tokens!.accessToken }, { headers });
    if (!active) lost.push('inactive');
    await auth.getMe({}, bearer(tokens!));
    await auth.signIn(ada);
    return tokens!.refreshToken;
  };
  const client = async () => {
    let { refreshToken } = (await auth.signIn(ada)).tokens!;
    for (; !state.isOver; await sleep(50)) {
      refreshToken = await callAll(refreshToken).catch((error) => {
        lost.push(reasonOf(error) ?? String(error));
        return refreshToken;
      });
      state.calls++;
    }
  };
  const running = Promise.all(Array.from({ length: 4 }, client));
  return {
    lost,
    use: (key: string) => {
      state.serviceKey = key;
    },
    /** Each client has called everything again. */
    async settle() {
      const { calls } = state;
      await expect.poll(() => state.calls, { timeout: 20_000 }).toBeGreaterThan(calls + 8);
    },
    async stop() {
      state.isOver = true;
      await running;
    },
  };
}

/* docs/operations.md, "Secrets": each phase is a rolling restart. */
test('every secret is replaced while clients of two replicas lose no call', { timeout: 240_000 }, async () => {
  const cluster = await startCluster();
  const mails = mkdtempSync('/tmp/gatehouse-mails-');
  onTestFinished(async () => {
    await cluster.remove();
    rmSync(mails, { recursive: true });
  });
  const name = await cluster.createDatabase();
  const govern = (sql: string) => cluster.query(name, sql);
  const urlOf = (role: string) => cluster.url(name).replace(/postgres:[^@]+@/, `${role}:${role}@`);
  await govern(`create role gatehouse_a login password 'gatehouse_a'; grant postgres to gatehouse_a;
    alter role gatehouse_a set role postgres`);
  const common = { SHUTDOWN_DELAY: '1s', LIMITS: '*=off', AUTO_CONFIRM_EMAIL: 'on', DATABASE_POOL_SIZE: '5' };
  const env = (keys: Env): Env => ({ ...common, ...keys });
  const before = env({
    DATABASE_URL: urlOf('gatehouse_a'),
    MASTER_KEYS: master.old,
    PASSWORD_PEPPER: pepper.old,
    SERVICE_KEYS: listed.old,
  });

  const pair = await startPair(before);
  const { transport, close } = grpcTransport(`127.0.0.1:${pair.port}`);
  onTestFinished(close);
  await clientsOver(transport).auth.register(ada);
  const clients = keepCalling(pair.port);
  await clients.settle();

  // First every replica knows the new secrets.
  await govern(`create role gatehouse_b login password 'gatehouse_b'; grant postgres to gatehouse_b;
    alter role gatehouse_b set role postgres`);
  const known = env({
    DATABASE_URL: urlOf('gatehouse_b'),
    MASTER_KEYS: `${master.old},${master.next}`,
    PASSWORD_PEPPER: `${pepper.old},${pepper.next}`,
    SERVICE_KEYS: `${listed.old},${listed.next}`,
  });
  await pair.roll(known);
  await govern('alter role gatehouse_a nologin');
  clients.use(service.next);
  await clients.settle();

  // Then every replica writes with them.
  const used = {
    ...known,
    MASTER_KEYS: `${master.next},${master.old}`,
    PASSWORD_PEPPER: `${pepper.next},${pepper.old}`,
    SERVICE_KEYS: listed.next,
  };
  await pair.roll(used);
  for (const _ of ['standby', 'active']) {
    expect(await run(['keys', 'rotate', '--force'], used)).toMatchObject({ code: 0 });
    await sleep(6000); // every replica has read the keys again
  }
  await clients.settle();
  const { stdout } = await run(['installation'], used);
  expect(stdout).toContain('PASSWORD_PEPPER  old  password hashes of 0 users');

  // At last nobody needs the old ones.
  const after = { ...used, MASTER_KEYS: master.next, PASSWORD_PEPPER: pepper.next };
  for (const setting of ['MASTER_KEYS', 'PASSWORD_PEPPER'])
    expect(await run(['installation', 'drop', setting, 'old'], after)).toMatchObject({ code: 0, stderr: '' });
  await pair.roll(after);
  await clients.settle();
  await clients.stop();
  expect(clients.lost).toEqual([]);
});
