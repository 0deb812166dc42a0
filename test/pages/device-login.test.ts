import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { DeviceCredential } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { submit } from '../support/factor-pages.ts';
import { browserOf, pathOfLink } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';

async function signedIn() {
  const service = await start();
  await service.welcome({ ...ada, emailVerified: true });
  const browser = browserOf(service);
  const { form } = await browser.open('/sign-in');
  const { email, password } = ada;
  await browser.post('/sign-in', { ...form!, email, password });
  return { service, browser, ...service.clients('grpc') };
}

describe('a device with a user code', () => {
  test('gets a session after its code was typed in any form, compared and approved', async () => {
    const { service, browser, devices } = await signedIn();
    const code = await devices.requestDeviceCode({ clientName: 'Weaver', credential: DeviceCredential.SESSION });
    expect((await browser.open('/device')).heading).toBe('Connect a device');
    const typed = code.userCode.toLowerCase().replace('-', ' ');
    const page = await browser.open(`/device?user_code=${encodeURIComponent(typed)}`);
    for (const shown of [code.userCode, code.comparisonNumber, 'Weaver', 'a session'])
      expect(page.text).toContain(shown);
    const { deviceCode } = code;
    expect((await refusalOf(devices.pollDeviceToken({ deviceCode }))).reason).toBe('AUTHORIZATION_PENDING');
    expect((await browser.post('/device', { ...page.form!, decision: 'approve' })).heading).toBe('Approved');
    service.pass(6);
    const { tokens, user } = await devices.pollDeviceToken({ deviceCode });
    expect([tokens!.accessToken.length > 0, user!.email]).toEqual([true, ada.email]);
  });

  test('gets an API key, which the page of devices lists and revokes; an old sign-in is not enough', async () => {
    const { service, browser, devices, auth } = await signedIn();
    const code = await devices.requestDeviceCode({ clientName: 'Weaver' });
    const path = pathOfLink(code.verificationUriComplete);
    service.pass(601);
    const stale = await browser.open(path);
    expect(stale.text).toContain('an API key');
    const prompt = await browser.post('/device', { ...stale.form!, decision: 'approve' });
    expect(prompt.heading).toBe('Confirm that it is you');
    const { email, password } = ada;
    expect((await submit(browser, prompt.text, ['password'], { password })).heading).toBe('Approved');
    const { apiKey } = await devices.pollDeviceToken({ deviceCode: code.deviceCode });
    const as = { headers: { authorization: `Bearer ${apiKey}` } };
    expect((await auth.getMe({}, as)).user!.email).toBe(email);
    const list = await browser.open('/devices');
    expect(list.text).toContain(apiKey.slice(0, 17));
    expect(list.text).not.toContain(apiKey);
    const { form_token, api_key_id } = list.form!;
    await browser.post('/devices', { form_token: form_token!, api_key_id: api_key_id! });
    expect((await browser.open('/devices')).text).not.toContain(apiKey.slice(0, 17));
    expect((await refusalOf(auth.getMe({}, as))).code).toBe(Code.Unauthenticated);
  });

  test('is denied, and an unknown code is explained beside the field', async () => {
    const { browser, devices } = await signedIn();
    const { userCode, deviceCode } = await devices.requestDeviceCode({});
    const { form } = await browser.open(`/device?user_code=${userCode}`);
    expect((await browser.post('/device', { ...form!, decision: 'deny' })).heading).toBe('Denied');
    expect((await refusalOf(devices.pollDeviceToken({ deviceCode }))).reason).toBe('ACCESS_DENIED');
    for (const code of [userCode, 'BCDF-GHJK', 'nonsense'])
      expect(await browser.open(`/device?user_code=${code}`), code).toMatchObject({
        status: 404,
        heading: 'Connect a device',
        alert: expect.stringContaining('not valid or has expired'),
        form: { user_code: code },
      });
  });
});

describe('a machine with a fingerprint', () => {
  test.each(['approve', 'deny'])('is decided on its page: %s', async (decision) => {
    const { service, browser, devices } = await signedIn();
    const login = await devices.startFingerprintLogin({ fingerprintId: 'a-machine', clientName: 'Weaver' });
    const path = pathOfLink(login.loginUrl);
    const page = await browser.open(path);
    for (const shown of [login.comparisonNumber, 'Weaver']) expect(page.text).toContain(shown);
    await browser.post('/login', { ...page.form!, decision });
    service.pass(6);
    const { state } = await devices.pollFingerprintLogin({ pollingCode: login.pollingCode });
    expect(state).toBe(decision === 'approve' ? LoginState.APPROVED : LoginState.DENIED);
    expect((await browser.open(path)).alert).toBe(
      decision === 'approve'
        ? 'This device is signed in already.'
        : 'This link is not valid. Start again in the program.',
    );
    expect((await browser.open(path.replace('a-machine', 'b-machine'))).alert).toContain('not valid');
  });
});
