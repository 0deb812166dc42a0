import { createHash } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { composeKey } from '../../src/api-key/key-text.ts';
import { ada, asService, bob } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, type TestService, type Wire, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

/** Ada, signed in, with an API key. */
async function withKey(service: TestService, wire: Wire, scopes: string[] = []) {
  const signedIn = await service.welcome(verifiedAda);
  const { apiKey, secret } = await service.clients(wire).devices.createApiKey({ name: 'a', scopes }, signedIn.as);
  return { ...signedIn, keyId: apiKey!.id, secret, asKey: bearer({ accessToken: secret }) };
}

function introspected(service: TestService, wire: Wire, secret: string) {
  return service.clients(wire).sessions.introspect({ token: secret }, asService);
}

describe.each(wires)('over %s', (wire) => {
  test('a key calls the methods of its scopes, and is refused by others with the scope that it lacks', async () => {
    const service = await start();
    const { auth, accounts } = service.clients(wire);
    const { asKey, account, secret } = await withKey(service, wire, ['AccountService.GetUsage']);
    await accounts.getUsage({}, asKey);
    for (const [call, required] of [
      [() => auth.getMe({}, asKey), 'AuthService.GetMe'],
      [() => accounts.getAccount({ accountId: account.id }, asKey), 'AccountService.GetAccount'],
      [() => accounts.consumeUsage({ amount: 1 }, asKey), 'AccountService.ConsumeUsage'],
    ] as const)
      expect(await refusalOf(call())).toMatchObject({
        code: Code.PermissionDenied,
        reason: 'CALLER_NOT_ALLOWED',
        metadata: { required_scope: required },
      });
    expect((await introspected(service, wire, secret)).scopes).toEqual(['AccountService.GetUsage']);
  });

  test('a scope that is a service admits to its methods that admit keys, and to no others', async () => {
    const service = await start();
    const { auth, accounts } = service.clients(wire);
    const { asKey, account } = await withKey(service, wire, ['AccountService']);
    expect((await accounts.getAccount({ accountId: account.id }, asKey)).account!.id).toBe(account.id);
    const { usage } = await accounts.consumeUsage({ amount: 3 }, asKey);
    expect((await accounts.getUsage({}, asKey)).usage).toEqual(usage);
    for (const call of [
      () => accounts.updateAccount({ accountId: account.id, name: 'X' }, asKey),
      () => accounts.listMembers({ accountId: account.id }, asKey),
      () => auth.getMe({}, asKey),
    ])
      expect((await refusalOf(call())).reason).toBe('CALLER_NOT_ALLOWED');
  });

  test('no key manages keys, passwords, sessions or its user', async () => {
    const service = await start();
    const { auth, sessions, devices } = service.clients(wire);
    const { asKey, keyId, as } = await withKey(service, wire);
    const passwords = { currentPassword: ada.password, newPassword: 'quite another phrase' };
    for (const call of [
      () => devices.createApiKey({ name: 'b' }, asKey),
      () => devices.listApiKeys({}, asKey),
      () => devices.revokeApiKey({ apiKeyId: keyId }, asKey),
      () => auth.changePassword(passwords, asKey),
      () => auth.updateMe({ name: 'Eve' }, asKey),
      () => auth.deleteMe({}, asKey),
      () => auth.sendVerificationEmail({}, asKey),
      () => auth.register({ email: 'new@example.org', password: 'a long enough phrase' }, asKey),
      () => sessions.signOut({}, asKey),
      () => sessions.listSessions({}, asKey),
      () => sessions.introspect({ token: 'x' }, asKey),
    ])
      expect(await refusalOf(call())).toMatchObject({ code: Code.PermissionDenied, reason: 'CALLER_NOT_ALLOWED' });
    expect((await devices.listApiKeys({}, as)).apiKeys).toHaveLength(1);
  });

  test('the key of an operator is no operator', async () => {
    const service = await start();
    const { devices, admin } = service.clients(wire);
    const { as, user } = await service.operator();
    await admin.updateUser({ userId: user.id, emailVerified: true }, asService);
    const { secret } = await devices.createApiKey({ name: 'a' }, as);
    expect((await refusalOf(admin.listUsers({}, bearer({ accessToken: secret })))).reason).toBe('CALLER_NOT_ALLOWED');
  });

  test('unknown, revoked, malformed and foreign keys have the same refusal and are all inactive', async () => {
    const service = await start();
    const { auth, devices } = service.clients(wire);
    const { secret, as, user, keyId } = await withKey(service, wire);
    const { user: other } = await service.welcome({ ...bob, emailVerified: true });
    await devices.revokeApiKey({ apiKeyId: keyId }, as);
    const wrong = [
      secret,
      composeKey('test', user.id),
      composeKey('test', other.id, Buffer.alloc(32, 1)),
      composeKey('live', user.id),
      secret.slice(0, 60),
      `${secret.slice(0, -1)}${secret.endsWith('0') ? '1' : '0'}`,
      secret.slice(0, 20),
      'ghk_',
      `ghk_test_${'A'.repeat(71)}`,
    ];
    const refusals = [];
    for (const each of wrong) {
      refusals.push(await refusalOf(auth.getMe({}, bearer({ accessToken: each }))));
      expect(await introspected(service, wire, each)).toMatchObject({ active: false, userId: '', apiKeyId: '' });
    }
    expect(refusals[0]).toMatchObject({ code: Code.Unauthenticated, reason: 'API_KEY_INVALID' });
    for (const refusal of refusals) expect(refusal).toEqual(refusals[0]);
  });

  test('a cookie or another header does not stand in for a revoked key', async () => {
    const service = await start();
    const { auth, devices } = service.clients(wire);
    const { secret, as, keyId, tokens } = await withKey(service, wire);
    await devices.revokeApiKey({ apiKeyId: keyId }, as);
    const cookie = `__Host-session=${tokens.accessToken}; access_token=${tokens.accessToken}`;
    const headers = { authorization: `Bearer ${secret}`, cookie, apikey: tokens.accessToken };
    expect(await refusalOf(auth.getMe({}, { headers }))).toMatchObject({ code: 16, reason: 'API_KEY_INVALID' });
    expect((await refusalOf(auth.getMe({}, { headers: { cookie } }))).reason).toBe('AUTHENTICATION_REQUIRED');
  });

  test('a service key may contain dots and look like a part of a token', async () => {
    const keys = ['backend.example.org', 'v1.secret.key', 'eyJ.key', '...', 'ghs_x'];
    const listed = keys.map((key, index) => `b${index}:${createHash('sha256').update(key).digest('hex')}`);
    const service = await start({ env: { SERVICE_KEYS: listed.join(',') }, skipChecks: ['orphans'] });
    const { admin, sessions } = service.clients(wire);
    for (const key of keys) {
      expect((await admin.listUsers({}, bearer({ accessToken: key }))).users, key).toEqual([]);
      expect((await sessions.introspect({ token: key }, bearer({ accessToken: key }))).active).toBe(false);
      expect((await refusalOf(admin.listUsers({}, bearer({ accessToken: `${key}.` })))).reason).toBe('TOKEN_INVALID');
    }
  });
});

test('a key that is not of the form costs no statement, and each other one costs the same', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url });
  const { devices } = service.clients('grpc');
  const { secret, user, as, keyId } = await withKey(service, 'grpc');
  const cost = async (token: string) => {
    const before = proxy.statements.length;
    await introspected(service, 'grpc', token);
    return proxy.statements.slice(before).filter(({ name }) => name === 'api_key_states').length;
  };
  for (const token of [secret.slice(0, -1), 'ghk_', composeKey('live', user.id)]) expect(await cost(token)).toBe(0);
  expect(await cost(secret)).toBe(1);
  expect(await cost(composeKey('test', user.id))).toBe(1);
  await devices.revokeApiKey({ apiKeyId: keyId }, as);
  expect(await cost(secret)).toBe(1);
});
