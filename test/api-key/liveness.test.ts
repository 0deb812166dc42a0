// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, Gate, together } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type StartOptions, start, type TestService, type Wire, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

/** Ada, signed in, with an API key. */
async function startWithKey(wire: Wire, options: StartOptions = {}) {
  const service = await start(options);
  const signedIn = await service.welcome(verifiedAda);
  const { apiKey, secret } = await service.clients(wire).devices.createApiKey({ name: 'a' }, signedIn.as);
  return { service, ...signedIn, keyId: apiKey!.id, secret, asKey: bearer({ accessToken: secret }) };
}

type Started = Awaited<ReturnType<typeof startWithKey>>;

/** Whether a key is accepted, as a bearer token and by Introspect, which have to agree. */
async function works(service: TestService, wire: Wire, secret: string): Promise<boolean> {
  const { auth, sessions } = service.clients(wire);
  const { active } = await sessions.introspect({ token: secret }, asService);
  const reason = await auth.getMe({}, bearer({ accessToken: secret })).then(
    () => undefined,
    async (error) => (await refusalOf(Promise.reject(error))).reason,
  );
  expect(reason).toBe(active ? undefined : 'API_KEY_INVALID');
  return active;
}

describe.each(wires)('over %s', (wire) => {
  test.each<[what: string, change: (started: Started) => Promise<unknown>]>([
    ['its user is banned', ({ service, user }) => service.clients(wire).admin.banUser({ userId: user.id }, asService)],
    [
      'its user was banned, and no longer is',
      async ({ service, user }) => {
        await service.clients(wire).admin.banUser({ userId: user.id }, asService);
        await service.clients(wire).admin.unbanUser({ userId: user.id }, asService);
      },
    ],
    [
      'its user is deleted',
      ({ service, user }) => service.clients(wire).admin.deleteUser({ userId: user.id }, asService),
    ],
    ['its user has deleted themselves', ({ service, as }) => service.clients(wire).auth.deleteMe({}, as)],
    [
      'everybody’s sessions are revoked',
      ({ service }) =>
        service.clients(wire).admin.revokeUserSessions({ whose: { case: 'everybody', value: true } }, asService),
    ],
    [
      'its user is banned by a change of the row alone',
      ({ service }) => service.database.query(`update users set banned_until = now() + interval '1 day'`),
    ],
    [
      'its user is deleted by a change of the row alone',
      ({ service }) => service.database.query('update users set deleted_at = now()'),
    ],
  ])('a key is invalid when %s', async (_, change) => {
    const started = await startWithKey(wire, { skipChecks: ['orphans'] });
    expect(await works(started.service, wire, started.secret)).toBe(true);
    await change(started);
    expect(await works(started.service, wire, started.secret)).toBe(false);
  });

  test.each<[what: string, change: (started: Started) => Promise<unknown>]>([
    [
      'signs out everywhere',
      ({ service, as }) => service.clients(wire).sessions.signOut({ scope: SignOutScope.GLOBAL }, as),
    ],
    [
      'has their sessions revoked by an operator',
      ({ service, user }) =>
        service.clients(wire).admin.revokeUserSessions({ whose: { case: 'userId', value: user.id } }, asService),
    ],
    [
      'changes their password',
      ({ service, as }) =>
        service
          .clients(wire)
          .auth.changePassword({ currentPassword: ada.password, newPassword: 'quite another phrase' }, as),
    ],
    [
      'resets their password',
      async ({ service }) => {
        const { auth } = service.clients(wire);
        await auth.requestPasswordReset({ email: ada.email });
        await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword: 'quite another phrase' });
      },
    ],
  ])('a key stays valid when its user %s', async (_, change) => {
    const started = await startWithKey(wire);
    await change(started);
    expect(await works(started.service, wire, started.secret)).toBe(true);
  });

  test('the first proof of a mailbox revokes the keys that were created before', async () => {
    const service = await start();
    const { auth, admin, devices } = service.clients(wire);
    await admin.updateSettings({ settings: { emailVerification: false } }, asService);
    const { as } = await service.welcome(ada);
    const { secret } = await devices.createApiKey({ name: 'a' }, as);
    await admin.updateSettings({ settings: { emailVerification: true } }, asService);
    expect(await works(service, wire, secret)).toBe(true);
    await auth.requestMagicLink({ email: ada.email });
    await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
    expect(await works(service, wire, secret)).toBe(false);
  });

  test('a user who must change their password reads themselves with a key, and nothing else', async () => {
    const { service, user, asKey, secret } = await startWithKey(wire);
    const { auth, accounts, admin, sessions } = service.clients(wire);
    await admin.updateUser({ userId: user.id, mustChangePassword: true }, asService);
    expect(await sessions.introspect({ token: secret }, asService)).toMatchObject({
      active: true,
      mustChangePassword: true,
    });
    expect((await auth.getMe({}, asKey)).user!.mustChangePassword).toBe(true);
    expect((await refusalOf(accounts.getUsage({}, asKey))).reason).toBe('PASSWORD_CHANGE_REQUIRED');
  });

  test('an address that is registered again has none of the keys of the user before', async () => {
    const { service, user, secret } = await startWithKey(wire);
    const { admin, devices } = service.clients(wire);
    await admin.deleteUser({ userId: user.id }, asService);
    const { as } = await service.welcome(verifiedAda);
    expect((await devices.listApiKeys({}, as)).apiKeys).toEqual([]);
    expect(await works(service, wire, secret)).toBe(false);
  });

  test('calls that were authenticated before a revocation take nothing after it, on both replicas', async () => {
    const gate = new Gate('ConsumeUsage');
    const { service, as, keyId, asKey } = await startWithKey(wire, {
      replicas: 2,
      inner: [gate.interceptor('method')],
    });
    const calls = together((index) => service.clients(wire, index).accounts.consumeUsage({ amount: 1 }, asKey));
    await gate.reached;
    await service.clients(wire).devices.revokeApiKey({ apiKeyId: keyId }, as);
    gate.open();
    const { answers, errors } = await calls;
    expect(answers).toEqual([]);
    for (const error of errors)
      expect(await refusalOf(Promise.reject(error))).toMatchObject({
        code: Code.Unauthenticated,
        reason: 'API_KEY_INVALID',
      });
    expect((await service.clients(wire).accounts.getUsage({}, as)).usage!.usage).toBe(0n);
  });

  test('of calls that race with revocations no more are counted than were answered', async () => {
    const { service, as, keyId, asKey } = await startWithKey(wire, { replicas: 2 });
    await service.clients(wire).accounts.consumeUsage({ amount: 1 }, as);
    const using = together((index) => service.clients(wire, index).accounts.consumeUsage({ amount: 1 }, asKey));
    const revoking = together((index) => service.clients(wire, index).devices.revokeApiKey({ apiKeyId: keyId }, as));
    const { errors: refused } = await revoking;
    expect(refused).toEqual([]);
    const { answers, errors } = await using;
    for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe('API_KEY_INVALID');
    const { usage } = await service.clients(wire).accounts.getUsage({}, as);
    expect(usage!.usage).toBe(BigInt(answers.length + 1));
    const { events } = await service.clients(wire).admin.listAuditEvents({ action: 'api_key.revoke' }, asService);
    expect(events).toHaveLength(1);
  });

  test('parallel creations do not exceed the limit', async () => {
    const barrier = new Barrier('CreateApiKey');
    const env = { API_KEYS_PER_USER: '3' };
    const service = await start({ replicas: 2, env, inner: [barrier.interceptor()] });
    const { as } = await service.welcome({ ...bob, emailVerified: true });
    barrier.expect(crowd);
    const { answers, errors } = await together((index) =>
      service.clients(wire, index).devices.createApiKey({ name: 'a' }, as),
    );
    expect(answers).toHaveLength(3);
    expect(errors).toHaveLength(crowd - 3);
    for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe('API_KEY_LIMIT_REACHED');
    expect((await service.clients(wire).devices.listApiKeys({}, as)).apiKeys).toHaveLength(3);
  });
});
