// @serializable
import { describe, expect, test } from 'vitest';
import { DeviceCredential, DeviceStatus } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { deviceFlow, forSession, outcomeOf } from '../support/device-flow.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { mailsTo } from '../support/inbox.ts';
import { asService, bob } from '../support/people.ts';
import { bearer, start, type Wire, wires } from '../support/start.ts';

const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada', emailVerified: true };
const { ACTIVE, EXPIRED, REVOKED } = DeviceStatus;

async function prepare(wire: Wire) {
  const service = await start();
  const { as, session } = await service.welcome(ada);
  const flow = deviceFlow(service, wire);
  const keyed = async (by = as) => {
    const { deviceCode, userCode } = await flow.request();
    await flow.approve(userCode, by);
    return (await flow.poll(deviceCode)).apiKey;
  };
  const opened = async () => {
    const { deviceCode, userCode } = await flow.request(forSession);
    await flow.approve(userCode, as);
    return (await flow.poll(deviceCode)).tokens!;
  };
  const isValid = async (accessToken: string) =>
    (await outcomeOf(service.clients(wire).auth.getMe({}, bearer({ accessToken })))) === 'OK';
  return { service, as, session, ...flow, keyed, opened, isValid };
}

describe.each(wires)('over %s', (wire) => {
  test('the list has the devices of the caller, newest first, and says how each was signed in', async () => {
    const { service, as, keyed, opened, create, redeem, list, on } = await prepare(wire);
    const other = await service.welcome({ ...bob, emailVerified: true });
    await keyed(other.as);
    await service.clients(wire).devices.createApiKey({ name: 'no device' }, as);
    const apiKey = await keyed();
    await opened();
    await redeem(await create(as));
    const found = await list(as);
    const { API_KEY, SESSION } = DeviceCredential;
    expect(found.map(({ name, credential }) => [name, credential])).toEqual([
      ['CLI (Dashboard Code)', API_KEY],
      ['CLI (Device Authorization)', SESSION],
      ['CLI (Device Authorization)', API_KEY],
    ]);
    expect(found[2]).toMatchObject({ keyPrefix: apiKey.slice(0, 17), clientName: 'a tool', address: '127.0.0.1' });
    expect(found.map(({ status }) => status)).toEqual([ACTIVE, ACTIVE, ACTIVE]);
    const first = await on().listDevices({ pageSize: 2 }, as);
    const second = await on().listDevices({ pageSize: 2, pageToken: first.nextPageToken }, as);
    expect([...first.devices, ...second.devices].map(({ id }) => id)).toEqual(found.map(({ id }) => id));
    expect(second.nextPageToken).toBe('');
  });

  test('every device has the name that its user saw at the approval, and so does its session', async () => {
    const { service, as, keyed, opened, create, redeem, list } = await prepare(wire);
    const { devices, sessions } = service.clients(wire);
    await keyed();
    await opened();
    await redeem(await create(as));
    const login = await devices.startCliLogin({ clientName: 'build & deploy <b>' });
    const { requester } = await devices.checkCliLogin({ loginCode: login.loginCode });
    await devices.completeCliLogin({ loginCode: login.loginCode }, as);
    const polled = await devices.pollCliLogin({ pollingCode: login.pollingCode });
    expect(polled.session!.clientName).toBe(requester!.clientName);
    const machine = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
    await devices.confirmFingerprintLogin({ authCode: authCodeOf(machine) }, as);
    await devices.pollFingerprintLogin({ pollingCode: machine.pollingCode });
    expect((await list(as)).map(({ name, clientName }) => [name, clientName])).toEqual([
      ['CLI (Login)', ''],
      ['CLI (Login)', 'build & deploy <b>'],
      ['CLI (Dashboard Code)', 'a tool'],
      ['CLI (Device Authorization)', 'a tool'],
      ['CLI (Device Authorization)', 'a tool'],
    ]);
    const listed = (await sessions.listSessions({}, as)).sessions;
    expect(listed.map(({ clientName }) => clientName)).toEqual(['', 'build & deploy <b>', 'a tool', '']);
    const { refreshToken } = polled.tokens!;
    await sessions.refresh({ refreshToken });
    expect((await sessions.getSession({ sessionId: polled.session!.id }, as)).session).toMatchObject({
      clientName: 'build & deploy <b>',
    });
  });

  test('the last use is absent before the first one', async () => {
    const { service, as, opened, keyed, list, isValid } = await prepare(wire);
    const apiKey = await keyed();
    const { refreshToken } = await opened();
    expect((await list(as)).map(({ lastUsedTime }) => lastUsedTime)).toEqual([undefined, undefined]);
    await service.clients(wire).sessions.refresh({ refreshToken });
    expect(await isValid(apiKey)).toBe(true);
    const uses = async () => (await list(as)).filter(({ lastUsedTime }) => lastUsedTime).length;
    await expect.poll(uses, { timeout: 10_000 }).toBe(2);
  });

  test('a revoked device is signed out at once, and the session that approved it is not', async () => {
    const { as, keyed, opened, list, on, isValid } = await prepare(wire);
    const apiKey = await keyed();
    const { accessToken } = await opened();
    for (const { id } of await list(as)) {
      await on().revokeDevice({ deviceId: id.toUpperCase() }, as);
      await on().revokeDevice({ deviceId: id }, as);
    }
    expect([await isValid(apiKey), await isValid(accessToken)]).toEqual([false, false]);
    expect((await list(as)).map(({ status }) => status)).toEqual([REVOKED, REVOKED]);
  });

  test('only devices of the caller are revoked: no other session, no other key, nobody else', async () => {
    const { service, as, session, keyed, list, on, isValid } = await prepare(wire);
    const other = await service.welcome({ ...bob, emailVerified: true });
    const ofBob = await keyed(other.as);
    const { apiKey } = await service.clients(wire).devices.createApiKey({ name: 'no device' }, as);
    for (const deviceId of [session.id, apiKey!.id, (await list(other.as))[0]!.id])
      expect(await outcomeOf(on().revokeDevice({ deviceId }, as))).toBe('DEVICE_NOT_FOUND');
    expect(await isValid(ofBob)).toBe(true);
  });

  test('an expired key is refused, and shown as expired', async () => {
    const { service, as, keyed, list, isValid } = await prepare(wire);
    const apiKey = await keyed();
    const [before] = await list(as);
    expect(Number(before!.expireTime!.seconds - before!.createTime!.seconds)).toBe(365 * 86_400);
    await service.database.query(`update api_keys set expires_at = now() - interval '1 second'`);
    expect(await isValid(apiKey)).toBe(false);
    expect((await list(as))[0]!.status).toBe(EXPIRED);
    const { sessions } = service.clients(wire);
    expect((await sessions.introspect({ token: apiKey }, asService)).active).toBe(false);
  });
});

test.each(wires)('over %s the user receives a mail about each device that was signed in', async (wire) => {
  const { service, as, keyed, opened, create, redeem } = await prepare(wire);
  const subjects = async () => (await mailsTo(service, ada.email)).map(({ subject }) => subject);
  for (const signIn of [keyed, opened, async () => redeem(await create(as))]) {
    const before = (await subjects()).length;
    await signIn();
    expect((await subjects()).slice(before)).toEqual(['A new sign-in to your account']);
  }
});

test('codes and keys are stored as hashes', async () => {
  const { service, as, keyed, request, create } = await prepare('grpc');
  const apiKey = await keyed();
  const { deviceCode, userCode } = await request();
  const cliCode = await create(as);
  const [{ text }] = (await service.database.query<{ text: string }>(
    `select (select string_agg(a::text, ' ') from login_attempts a) || (select string_agg(k::text, ' ') from api_keys k)
       || (select string_agg(e::text, ' ') from audit_events e) as text`,
  )) as [{ text: string }];
  for (const secret of [apiKey, deviceCode, deviceCode.slice(5), userCode, cliCode]) expect(text).not.toContain(secret);
  const [{ length }] = (await service.database.query<{ length: number }>(
    'select max(length(prefix))::int as length from api_keys',
  )) as [{ length: number }];
  expect(length).toBeLessThanOrEqual(20);
});
