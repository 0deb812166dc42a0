import { randomBytes, randomUUID } from 'node:crypto';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SessionKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { actionsOf, fingerprintId, prepareLogins } from '../support/fingerprint-logins.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { ada, testEnv } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { bearer, type Clients, start, wires } from '../support/start.ts';

const nonce = 'a-nonce-of-32-characters-_-_-_-_';
const reasonOf = async (call: Promise<unknown>) => (await refusalOf(call)).reason;

describe.each(wires)('over %s a fingerprint login', (wire) => {
  test('starts with a URL that does not contain the polling code', async () => {
    const { service, devices, begin } = await prepareLogins(wire, { env: { FRONTEND_URL: 'https://app.example.org' } });
    const before = service.now().getTime();
    const login = await begin();
    const url = new URL(login.loginUrl);
    expect(url.origin + url.pathname).toBe('https://app.example.org/login');
    expect([...url.searchParams.keys()]).toEqual(['auth_code']);
    expect(authCodeOf(login)).toMatch(/^the_machine-of-ada\.\d{13}\.[\w-]+$/);
    expect(login.loginUrl).not.toContain(login.pollingCode.slice(5));
    expect(login).toMatchObject({
      fingerprintId,
      interval: { seconds: 5n },
      comparisonNumber: expect.stringMatching(/^\d\d$/),
    });
    expect(Math.abs(timestampDate(login.expireTime!).getTime() - before - 300_000)).toBeLessThan(5000);
    const referralCode = 'ref-a b&c=d#é';
    const referred = await devices.startFingerprintLogin({ fingerprintId, referralCode });
    expect(new URL(referred.loginUrl).searchParams.get('referral_code')).toBe(referralCode);
    expect(referred.loginUrl).toContain('referral_code=ref-a+b%26c%3Dd%23%C3%A9');
  });

  test.each([
    ['empty', ''],
    ['long', 'x'.repeat(129)],
    ['with a dot', 'a.b'],
    ['with a space', 'a b'],
    ['with a control', 'a\u0001'],
  ])('is refused for a fingerprint that is %s', async (_, machine) => {
    const { begin } = await prepareLogins(wire);
    expect(await reasonOf(begin(machine))).toBe('INVALID_ARGUMENT');
  });

  test('signs the program in once, with a session of its own that is listed, and can be revoked', async () => {
    const { service, devices, sessions, here, begin, poll, confirm } = await prepareLogins(wire);
    const login = await begin();
    expect((await poll(login)).state).toBe(LoginState.PENDING);
    const shown = await devices.getFingerprintLogin({ authCode: authCodeOf(login) }, here.as);
    expect(shown).toMatchObject({ fingerprintId, requester: { comparisonNumber: login.comparisonNumber } });
    await confirm(login);
    const answer = await poll(login);
    expect(answer).toMatchObject({
      state: LoginState.APPROVED,
      message: 'Authentication successful!',
      user: { id: here.user.id, email: ada.email, name: ada.name },
      session: { kind: SessionKind.CLI, aal: AssuranceLevel.AAL1, fingerprintId },
      fingerprintId,
    });
    expect(answer.tokens!.refreshToken).not.toBe(here.tokens.refreshToken);
    const { auth } = service.clients(wire);
    expect((await auth.getMe({}, bearer(answer.tokens!))).user!.id).toBe(here.user.id);
    const again = await poll(login);
    expect([again.state, again.message, again.tokens, again.user]).toEqual([LoginState.USED, '', undefined, undefined]);
    const listed = await sessions.listSessions({}, here.as);
    expect(listed.sessions.map((each) => [each.kind, each.fingerprintId, each.current])).toEqual([
      [SessionKind.CLI, fingerprintId, false],
      [SessionKind.WEB, '', true],
    ]);
    await sessions.revokeSession({ sessionId: answer.session!.id }, here.as);
    expect(await reasonOf(auth.getMe({}, bearer(answer.tokens!)))).toBe('SESSION_REVOKED');
  });

  test('repeats a lost response for its nonce, and for no other', async () => {
    const { sessions, begin, poll, confirm } = await prepareLogins(wire);
    const login = await begin();
    await confirm(login);
    const first = await poll(login, nonce);
    const again = await poll(login, nonce);
    expect(again.tokens!.refreshToken).toBe(first.tokens!.refreshToken);
    expect(again).toMatchObject({ fingerprintId, session: { id: first.session!.id, fingerprintId } });
    expect((await poll(login, nonce.replace('a', 'b'))).state).toBe(LoginState.USED);
    await sessions.refresh({ refreshToken: again.tokens!.refreshToken });
    expect((await poll(login, nonce)).state).toBe(LoginState.USED);
  });

  test('has a session that expires, though it is refreshed', async () => {
    const { service, sessions, connect } = await prepareLogins(wire, {
      env: { SESSION_LIFETIME_CLI: '60s/90s' },
    });
    const { tokens, session } = await connect();
    expect(timestampDate(session!.expireTime!).getTime()).toBeLessThan(service.now().getTime() + 91_000);
    service.pass(50);
    const refreshed = await sessions.refresh({ refreshToken: tokens!.refreshToken });
    service.pass(50);
    const refused = sessions.refresh({ refreshToken: refreshed.tokens!.refreshToken });
    expect(await reasonOf(refused)).toBe('SESSION_EXPIRED');
  });

  test('refuses a code that was altered, and one that was split in another place', async () => {
    const { devices, here, begin } = await prepareLogins(wire);
    const confirm = (authCode: string) => reasonOf(devices.confirmFingerprintLogin({ authCode }, here.as));
    const [machine, expiry, seal] = authCodeOf(await begin('machine9')).split('.') as [string, string, string];
    const altered = [
      `machine8.${expiry}.${seal}`,
      `machine.9${expiry}.${seal}`,
      `machine9${expiry[0]}.${expiry.slice(1)}.${seal}`,
      `${machine}.${Number(expiry) + 1}.${seal}`,
      ...['9'.repeat(14), '-1', `${expiry}.5`, '1e13', `0${expiry}`, 'NaN'].map((each) => `${machine}.${each}.${seal}`),
      `${machine}.${expiry}.${seal.slice(0, -1)}${seal.endsWith('A') ? 'B' : 'A'}`,
      `${machine}.${expiry}`,
      randomUUID(),
    ];
    for (const each of altered) expect(await confirm(each), each).toBe('INVALID_AUTH_CODE');
    expect(await refusalOf(devices.confirmFingerprintLogin({ authCode: altered[0]! }, here.as))).toMatchObject({
      message: 'Invalid auth code.',
    });
  });

  test('expires after five minutes', async () => {
    const { service, begin, poll, confirm } = await prepareLogins(wire);
    const [login, approved] = [await begin(), await begin()];
    await confirm(approved);
    service.pass(301);
    expect(await refusalOf(confirm(login))).toMatchObject({
      reason: 'AUTH_CODE_EXPIRED',
      message: 'Auth code expired.',
    });
    expect((await poll(login)).state).toBe(LoginState.EXPIRED);
    expect((await poll(approved)).state).toBe(LoginState.EXPIRED);
    await service.database.query('delete from login_attempts');
    expect(await reasonOf(confirm(login)), 'after its row was deleted').toBe('AUTH_CODE_EXPIRED');
  });

  test('is not polled with anything that its URL contains', async () => {
    const { begin, poll, confirm } = await prepareLogins(wire);
    const login = await begin();
    await confirm(login);
    const code = authCodeOf(login);
    const made = [code, code.split('.')[2]!, login.loginUrl, `ghpf_${'A'.repeat(43)}`, login.pollingCode.slice(0, -1)];
    for (const pollingCode of made)
      expect(await reasonOf(poll({ pollingCode })), pollingCode).toBe('INVALID_POLLING_CODE');
    expect((await poll(login)).state).toBe(LoginState.APPROVED);
  });

  test('is slowed down when it is polled too early', async () => {
    const { service, begin, poll } = await prepareLogins(wire);
    const login = await begin();
    await poll(login);
    expect(await refusalOf(poll(login))).toMatchObject({ reason: 'SLOW_DOWN', retryAfter: 10 });
    service.pass(10);
    expect((await poll(login)).state).toBe(LoginState.PENDING);
  });

  test('is decided by a signed-in user whose address is verified', async () => {
    const { service, devices, begin, poll } = await prepareLogins(wire, { env: { MAIL_MODE: 'capture' } });
    const login = await begin();
    const authCode = authCodeOf(login);
    const { as: guest } = await service.guest();
    const { as: unproved } = await service.welcome({ email: 'eve@example.org', password: ada.password });
    for (const call of [devices.confirmFingerprintLogin, devices.denyFingerprintLogin, devices.getFingerprintLogin]) {
      expect(await reasonOf(call({ authCode }))).toBe('AUTHENTICATION_REQUIRED');
      expect(await reasonOf(call({ authCode }, guest))).toBe('GUEST_NOT_ALLOWED');
    }
    expect(await reasonOf(devices.confirmFingerprintLogin({ authCode }, unproved))).toBe('EMAIL_NOT_VERIFIED');
    expect((await poll(login)).state).toBe(LoginState.PENDING);
  });

  test('that was denied stays denied', async () => {
    const { service, devices, here, begin, poll, confirm } = await prepareLogins(wire);
    const login = await begin();
    await devices.denyFingerprintLogin({ authCode: authCodeOf(login) }, here.as);
    for (let round = 0; round < 2; round++) expect((await poll(login)).state).toBe(LoginState.DENIED);
    expect(await reasonOf(confirm(login))).toBe('INVALID_AUTH_CODE');
    const canceled = await begin();
    await devices.cancelLogin({ pollingSecret: canceled.pollingCode });
    expect(await reasonOf(confirm(canceled))).toBe('INVALID_AUTH_CODE');
    expect(await actionsOf(service)).toEqual(['device.start', 'device.deny', 'device.start', 'device.cancel']);
  });

  test('is void when its user signs out before the program has polled', async () => {
    const { sessions, here, begin, poll, confirm } = await prepareLogins(wire);
    const login = await begin();
    await confirm(login);
    await sessions.signOut({}, here.as);
    const { state, tokens } = await poll(login);
    expect([state, tokens]).toEqual([LoginState.DENIED, undefined]);
  });

  test('goes on while the master keys are rotated', async () => {
    const { service, here, begin, poll } = await prepareLogins(wire);
    const login = await begin();
    const authCode = authCodeOf(login);
    const strange = await start({ env: { MASTER_KEYS: `test:${randomBytes(32).toString('base64')}` } });
    const { as } = await strange.welcome({ ...ada, emailVerified: true });
    const unknown = strange.clients(wire).devices.confirmFingerprintLogin({ authCode }, as);
    expect(await reasonOf(unknown)).toBe('INVALID_AUTH_CODE');
    const next = `next:${randomBytes(32).toString('base64')}`;
    const rotated: Clients = await startReplica(service.database, { MASTER_KEYS: `${next},${testEnv.MASTER_KEYS}` });
    await rotated.devices.confirmFingerprintLogin({ authCode }, here.as);
    expect((await poll(login)).state).toBe(LoginState.APPROVED);
  });

  test('is started a limited number of times per minute', async () => {
    const { begin } = await prepareLogins(wire, { env: { LIMITS: '*=off,DeviceService.StartFingerprintLogin=2' } });
    await begin();
    await begin();
    expect(await reasonOf(begin())).toBe('OVER_REQUEST_RATE_LIMIT');
  });
});
