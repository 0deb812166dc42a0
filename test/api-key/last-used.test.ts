import { timestampDate } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

/** Ada, signed in, with an API key, and a look at its last use. */
async function withKey(service: TestService) {
  const { devices } = service.clients('json');
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const { secret } = await devices.createApiKey({ name: 'a' }, as);
  const lastUsed = async () => {
    const { apiKeys } = await devices.listApiKeys({}, as);
    const { lastUsedTime } = apiKeys[0]!;
    return lastUsedTime && timestampDate(lastUsedTime).getTime();
  };
  return { secret, asKey: bearer({ accessToken: secret }), lastUsed };
}

/** How often rows of the table were written since the database was created, which tests may share. */
async function writes({ database }: TestService): Promise<number> {
  const [row] = await database.query<{ writes: string }>(
    `select n_tup_upd::text as writes from pg_stat_user_tables where relname = 'api_keys'`,
  );
  return Number(row!.writes);
}

describe.each(wires)('over %s', (wire) => {
  test('the last use of a key is empty before the first and set within seconds after it', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { secret, lastUsed } = await withKey(service);
    expect(await lastUsed()).toBeUndefined();
    const before = service.now().getTime();
    await sessions.introspect({ token: secret }, asService);
    await expect.poll(lastUsed, { timeout: 5000 }).toBeGreaterThanOrEqual(before);
  });

  test('a use within a minute of the last write is not written, a later one is', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { asKey, lastUsed } = await withKey(service);
    await auth.getMe({}, asKey);
    await expect.poll(lastUsed, { timeout: 5000 }).toBeDefined();
    const first = (await lastUsed())!;
    service.pass(30);
    await auth.getMe({}, asKey);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await lastUsed()).toBe(first);
    service.pass(31);
    await auth.getMe({}, asKey);
    await expect.poll(lastUsed, { timeout: 5000 }).toBeGreaterThanOrEqual(first + 60_000);
  });

  test('a refused call does not count as a use', async () => {
    const service = await start();
    const { sessions, devices } = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const { apiKey, secret } = await devices.createApiKey({ name: 'a' }, as);
    await devices.revokeApiKey({ apiKeyId: apiKey!.id }, as);
    await sessions.introspect({ token: secret }, asService);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await devices.listApiKeys({}, as)).apiKeys[0]!.lastUsedTime).toBeUndefined();
  });
});

test('hundreds of uses on two replicas write the row once a minute, and never in a call', async () => {
  const proxy = await startProxy();
  const service = await start({ replicas: 2, databaseUrl: proxy.url });
  const { secret, asKey, lastUsed } = await withKey(service);
  const before = await writes(service);
  const use = async (index: number) => {
    const { sessions, auth } = service.clients('grpc', index);
    await (index % 4 < 2 ? sessions.introspect({ token: secret }, asService) : auth.getMe({}, asKey));
  };
  for (let round = 0; round < 4; round++) {
    await Promise.all(Array.from({ length: 100 }, (_, index) => use(index)));
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  await expect.poll(lastUsed, { timeout: 5000 }).toBeDefined();
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await Promise.all(Array.from({ length: 100 }, (_, index) => use(index)));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await service.database.query('select pg_stat_force_next_flush()');
  await expect.poll(() => writes(service), { timeout: 5000 }).toBe(before + 1);
  const stamps = proxy.statements.filter(({ name }) => name === 'api_keys_stamp');
  expect(stamps.length).toBeLessThanOrEqual(8);
});

test('a key whose row is locked is used without a wait, and is stamped when the lock is released', async () => {
  const service = await start();
  const { sessions, auth } = service.clients('grpc');
  const { secret, asKey, lastUsed } = await withKey(service);
  const release = await service.database.hold('select 1 from api_keys for update');
  const startedAt = performance.now();
  for (let call = 0; call < 10; call++) {
    expect((await sessions.introspect({ token: secret }, asService)).active).toBe(true);
    await auth.getMe({}, asKey);
  }
  expect(performance.now() - startedAt).toBeLessThan(2000);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await release();
  await expect.poll(lastUsed, { timeout: 5000 }).toBeDefined();
});

test('a replica that stops writes the uses that wait', async () => {
  const service = await start({ replicas: 2 });
  const { secret, lastUsed } = await withKey(service);
  await service.clients('grpc', 1).sessions.introspect({ token: secret }, asService);
  await service.replicas[1]!.stop();
  expect(await lastUsed()).toBeDefined();
});
