import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { outcomeOf } from '../support/device-flow.ts';
import { browserOf, pathOfLink, type TestBrowser } from '../support/page.ts';
import { ada, bob } from '../support/people.ts';
import { start, type TestService } from '../support/start.ts';

/** A started login of each kind: the page that decides it, and whether it is still undecided. */
const kinds = {
  async device(service: TestService) {
    const { devices } = service.clients('grpc');
    const { verificationUriComplete, deviceCode } = await devices.requestDeviceCode({});
    const isPending = async () =>
      (await outcomeOf(devices.pollDeviceToken({ deviceCode }))) === 'AUTHORIZATION_PENDING';
    return { path: pathOfLink(verificationUriComplete), isPending };
  },
  async login(service: TestService) {
    const { devices } = service.clients('grpc');
    const { loginUrl, pollingCode } = await devices.startFingerprintLogin({ fingerprintId: 'a-machine' });
    const isPending = async () => (await devices.pollFingerprintLogin({ pollingCode })).state === LoginState.PENDING;
    return { path: pathOfLink(loginUrl), isPending };
  },
};

async function signIn(browser: TestBrowser, path: string, { email, password } = ada) {
  await browser.open(path);
  const { form } = await browser.open(browser.at);
  return browser.post('/sign-in', { ...form!, email, password });
}

describe.each(['device', 'login'] as const)('the page of a login (%s)', (kind) => {
  test.each(['approve', 'deny'])('that ada was shown decides nothing for bob: %s', async (decision) => {
    const service = await start();
    for (const person of [ada, bob]) await service.welcome({ ...person, emailVerified: true });
    const { path, isPending } = await kinds[kind](service);
    const pending = async () => {
      service.pass(6);
      return isPending();
    };
    const browser = browserOf(service);
    const { form } = await signIn(browser, path);
    await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
    await signIn(browser, path, bob);
    const refused = await browser.post(`/${kind}`, { ...form!, decision });
    expect(refused).toMatchObject({ status: 403, alert: expect.stringContaining('somebody else') });
    expect(refused.text).toContain('signed in as bob@example.org');
    expect(await pending(), 'in the same browser').toBe(true);
    const other = browserOf(service);
    const own = await signIn(other, path, bob);
    expect((await other.post(`/${kind}`, { ...form!, decision })).status).toBe(403);
    expect(await pending(), 'in a browser of bob').toBe(true);
    expect((await other.post(`/${kind}`, { ...own.form!, form_token: '', decision })).status).toBe(403);
    expect(await pending(), 'without a token').toBe(true);
    const done = await other.post(`/${kind}`, { ...own.form!, decision });
    expect(done.heading).toBe(decision === 'approve' ? 'Approved' : 'Denied');
  });
});
