import { randomUUID } from 'node:crypto';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ApiKeyState } from '../../gen/gatehouse/v1/api_key_pb.ts';
import { TokenKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const verifiedBob = { ...bob, emailVerified: true };
const day = 86_400_000;

describe.each(wires)('over %s', (wire) => {
  test('a new key is shown once, expires after 365 days, and identifies its user', async () => {
    const service = await start();
    const { devices, auth, sessions } = service.clients(wire);
    const { as, user, account } = await service.welcome(verifiedAda);
    const { apiKey, secret } = await devices.createApiKey({ name: 'backup' }, as);
    expect(secret).toMatch(/^ghk_test_[0-9A-Za-z]{71}$/);
    expect(apiKey).toMatchObject({ name: 'backup', prefix: secret.slice(0, 17), scopes: [] });
    expect(apiKey!.state).toBe(ApiKeyState.ACTIVE);
    const [created, expires] = [timestampDate(apiKey!.createTime!), timestampDate(apiKey!.expireTime!)];
    expect(expires.getTime() - created.getTime()).toBe(365 * day);
    expect(apiKey!.lastUsedTime).toBeUndefined();
    const me = await auth.getMe({}, bearer({ accessToken: secret }));
    expect(me.user).toMatchObject({ id: user.id, email: ada.email });
    expect(me).toEqual(await auth.getMe({}, as));
    expect(await sessions.introspect({ token: secret }, asService)).toMatchObject({
      active: true,
      tokenKind: TokenKind.API_KEY,
      apiKeyId: apiKey!.id,
      userId: user.id,
      sessionId: '',
      email: ada.email,
      emailVerified: true,
      isAnonymous: false,
      accountId: account.id,
      amr: [],
      scopes: [],
      mustChangePassword: false,
      expireTime: apiKey!.expireTime,
      issueTime: apiKey!.createTime,
    });
    const { apiKeys } = await devices.listApiKeys({}, as);
    expect(apiKeys.map(({ id, name }) => ({ id, name }))).toEqual([{ id: apiKey!.id, name: 'backup' }]);
  });

  test('a key expires when its request says, and is refused everywhere from then on', async () => {
    const service = await start();
    const { devices, auth, sessions } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const expireTime = timestampFromDate(new Date(service.now().getTime() + 1500));
    const { secret } = await devices.createApiKey({ name: 'short', expireTime }, as);
    const token = { token: secret, maxStaleness: { seconds: 5n } };
    expect((await sessions.introspect(token, asService)).active).toBe(true);
    service.pass(2);
    expect(await sessions.introspect(token, asService)).toMatchObject({ active: false, userId: '' });
    expect(await refusalOf(auth.getMe({}, bearer({ accessToken: secret })))).toMatchObject({
      code: Code.Unauthenticated,
      reason: 'API_KEY_INVALID',
    });
    const { apiKeys } = await devices.listApiKeys({}, as);
    expect(apiKeys.map(({ state }) => state)).toEqual([ApiKeyState.EXPIRED]);
  });

  test('an expiry in the past or beyond the maximum, and a scope that no key can have, are refused', async () => {
    const service = await start({ env: { API_KEY_LIFETIME: '86400' } });
    const { devices } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const inMs = (ms: number) => timestampFromDate(new Date(service.now().getTime() + ms));
    for (const expireTime of [inMs(0), inMs(-1000), inMs(day + 60_000), timestampFromDate(new Date(0))])
      expect(await refusalOf(devices.createApiKey({ name: 'a', expireTime }, as))).toMatchObject({
        code: Code.InvalidArgument,
        fields: ['expire_time'],
      });
    for (const scope of [
      'SessionService',
      'DeviceService.CreateApiKey',
      'AuthService.ChangePassword',
      'x',
      'authservice',
    ])
      expect(await refusalOf(devices.createApiKey({ name: 'a', scopes: ['AuthService', scope] }, as))).toMatchObject({
        code: Code.InvalidArgument,
        fields: ['scopes[1]'],
      });
    for (const name of ['', 'x'.repeat(101)])
      expect(await refusalOf(devices.createApiKey({ name }, as))).toMatchObject({ fields: ['name'] });
    const { apiKey } = await devices.createApiKey({ name: 'a', expireTime: inMs(day - 60_000) }, as);
    expect(apiKey!.state).toBe(ApiKeyState.ACTIVE);
    expect((await devices.listApiKeys({}, as)).apiKeys).toHaveLength(1);
  });

  test('a revoked key is refused at once on every replica, and stays in the list', async () => {
    const service = await start({ replicas: 2 });
    const { devices } = service.clients(wire);
    const other = service.clients(wire, 1);
    const { as } = await service.welcome(verifiedAda);
    const { apiKey, secret } = await devices.createApiKey({ name: 'a' }, as);
    const kept = await devices.createApiKey({ name: 'b' }, as);
    const asKey = bearer({ accessToken: secret });
    await other.auth.getMe({}, asKey);
    await devices.revokeApiKey({ apiKeyId: apiKey!.id }, as);
    expect((await refusalOf(other.auth.getMe({}, asKey))).reason).toBe('API_KEY_INVALID');
    const token = { token: secret, maxStaleness: { seconds: 5n } };
    expect((await other.sessions.introspect(token, asService)).active).toBe(false);
    await devices.revokeApiKey({ apiKeyId: apiKey!.id.toUpperCase() }, as);
    const { apiKeys } = await other.devices.listApiKeys({}, as);
    expect(apiKeys.map(({ name, state, revokeTime }) => [name, state, !!revokeTime])).toEqual([
      ['b', ApiKeyState.ACTIVE, false],
      ['a', ApiKeyState.REVOKED, true],
    ]);
    await other.auth.getMe({}, bearer({ accessToken: kept.secret }));
  });

  test('a key of another user looks like none, and still works', async () => {
    const service = await start();
    const { devices, auth } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { as: asBob } = await service.welcome(verifiedBob);
    const { apiKey, secret } = await devices.createApiKey({ name: 'a' }, as);
    const refusals = [];
    for (const apiKeyId of [apiKey!.id, randomUUID()])
      refusals.push(await refusalOf(devices.revokeApiKey({ apiKeyId }, asBob)));
    expect(refusals[0]).toMatchObject({ code: Code.NotFound, reason: 'API_KEY_NOT_FOUND' });
    expect(refusals[1]).toEqual(refusals[0]);
    await auth.getMe({}, bearer({ accessToken: secret }));
    expect((await devices.listApiKeys({}, asBob)).apiKeys).toEqual([]);
  });

  test('the list has pages, newest first, whose tokens belong to their user', async () => {
    const service = await start();
    const { devices } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { as: asBob } = await service.welcome(verifiedBob);
    const names = ['one', 'two', 'three', 'four', 'five'];
    for (const name of names) await devices.createApiKey({ name }, as);
    const seen: string[] = [];
    let pageToken = '';
    do {
      const page = await devices.listApiKeys({ pageSize: 2, pageToken }, as);
      seen.push(...page.apiKeys.map(({ name }) => name));
      pageToken = page.nextPageToken;
      if (pageToken)
        expect((await refusalOf(devices.listApiKeys({ pageSize: 2, pageToken }, asBob))).reason).toBe(
          'PAGE_TOKEN_INVALID',
        );
    } while (pageToken);
    expect(seen).toEqual(names.toReversed());
  });

  test('users without a verified address, guests and users who signed in long ago create no key', async () => {
    const service = await start();
    const { devices } = service.clients(wire);
    const unverified = await service.welcome(ada);
    const guest = await service.guest();
    const old = await service.welcome(verifiedBob);
    const reasonOf = async (as: object) => (await refusalOf(devices.createApiKey({ name: 'a' }, as))).reason;
    expect(await reasonOf(unverified.as)).toBe('EMAIL_NOT_VERIFIED');
    expect(await reasonOf(guest.as)).toBe('GUEST_NOT_ALLOWED');
    service.pass(601);
    expect(await reasonOf(old.as)).toBe('REAUTHENTICATION_REQUIRED');
    const [{ count } = { count: -1 }] = await service.database.query<{ count: number }>(
      'select count(*)::int as count from api_keys',
    );
    expect(count).toBe(0);
  });

  test('where addresses are not verified by mail, an unverified one does not matter', async () => {
    const service = await start({ env: { EMAIL_VERIFICATION: 'off' } });
    const { devices } = service.clients(wire);
    const { as } = await service.welcome(ada);
    expect((await devices.createApiKey({ name: 'a' }, as)).secret).toMatch(/^ghk_/);
  });

  test('a user has a limited number of active keys; revoked and expired ones do not count', async () => {
    const service = await start({ env: { API_KEYS_PER_USER: '2' } });
    const { devices } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const create = () => devices.createApiKey({ name: 'a' }, as);
    const { apiKey } = await create();
    const expireTime = timestampFromDate(new Date(service.now().getTime() + 5000));
    await devices.createApiKey({ name: 'b', expireTime }, as);
    expect(await refusalOf(create())).toMatchObject({
      code: Code.ResourceExhausted,
      reason: 'API_KEY_LIMIT_REACHED',
    });
    await devices.revokeApiKey({ apiKeyId: apiKey!.id }, as);
    await create();
    service.pass(5);
    await create();
    expect((await refusalOf(create())).reason).toBe('API_KEY_LIMIT_REACHED');
  });

  test('a repeated request id creates no second key and does not show the first one again', async () => {
    const service = await start();
    const { devices } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const request = { name: 'a', requestId: randomUUID() };
    const first = await devices.createApiKey(request, as);
    const second = await devices.createApiKey(request, as);
    expect(first.secret).not.toBe('');
    expect(second).toMatchObject({ apiKey: first.apiKey, secret: '' });
    expect((await devices.listApiKeys({}, as)).apiKeys).toHaveLength(1);
    expect((await refusalOf(devices.createApiKey({ ...request, name: 'b' }, as))).reason).toBe('REQUEST_ID_REUSED');
  });

  test('the creation and the first revocation of a key are audit events', async () => {
    const service = await start();
    const { devices, admin } = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const { apiKey } = await devices.createApiKey({ name: 'a' }, as);
    for (let time = 0; time < 2; time++) await devices.revokeApiKey({ apiKeyId: apiKey!.id }, as);
    const { events } = await admin.listAuditEvents({ userId: user.id }, asService);
    const found = events.filter(({ entityType }) => entityType === 'api_key');
    expect(found.map(({ action, entityId }) => [action, entityId])).toEqual([
      ['api_key.revoke', apiKey!.id],
      ['api_key.create', apiKey!.id],
    ]);
  });
});

test('neither the database nor the log has a key, and no prefix has more than 20 characters', async () => {
  const service = await start();
  const { devices, auth, sessions } = service.clients('grpc');
  const { as } = await service.welcome(verifiedAda);
  const { secret } = await devices.createApiKey({ name: 'a', requestId: randomUUID() }, as);
  await auth.getMe({}, bearer({ accessToken: secret }));
  await sessions.introspect({ token: secret }, asService);
  await refusalOf(devices.createApiKey({ name: 'b' }, bearer({ accessToken: secret })));
  const hidden = secret.slice(17);
  const tables = await service.database.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public'`,
  );
  for (const { name } of tables) {
    const rows = await service.database.query<{ row: string }>(`select t::text as row from "${name}" t`);
    expect(
      rows.filter(({ row }) => row.includes(hidden.slice(0, 12))),
      name,
    ).toEqual([]);
  }
  expect(service.ledger.lines.filter((line) => line.includes(hidden.slice(0, 12)))).toEqual([]);
  const [row] = await service.database.query<{ hash: Buffer; prefix: string }>('select hash, prefix from api_keys');
  expect(row!.hash).toHaveLength(32);
  expect(row!.prefix.length).toBeLessThanOrEqual(20);
});
